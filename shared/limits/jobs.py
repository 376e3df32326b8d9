"""Bounds of jobs, their plans and schedules, and of the queue that holds them."""

SPEC_BYTES = 16_384
"""One job specification."""
STEPS = 32
"""Steps of one job."""
CANCELS_PER_BUNDLE = 256
"""Executions called off at once: 5 kB of a bundle; what is beyond comes in the next one."""
GRANTS_PER_BUNDLE = 64
"""Executions signed into one bundle; more wait for the next contact."""
TASKS_PER_EXECUTION = 256
"""Devices one execution may touch on one agent (an RS-485 segment holds 247 slaves)."""
RESULT_BYTES = 1_024
"""One task's result in a receipt, so that a receipt always fits into a report."""
CRASHES = 3
"""A task that took the process down this often is quarantined and the next one goes on. Its undoing
and last steps are done first; they may take it down once more, not twice."""
BACKOFF_GROWTH = 10
"""By which a wait may grow from one failure to the next: three make a minute a day."""
ATTEMPTS = 1_000
"""Attempts of one task, over months of retries."""
DELAY_S = 31_622_400
"""One year and a day: longer plans belong to schedules."""
COURSE_BYTES = 4_096
"""What one task remembers of its steps' results; written with each step of it."""
STEP_RETRIES = 10
"""Further tries of one step within one attempt; patience belongs to the job's own retries."""
PRECONDITIONS = 16
"""Conditions for one job's beginning."""
PRECONDITION_MS = 300_000
"""A precondition that does not hold, and a rule that names facts of the agent itself, is looked at
again after this."""
COUNTED_MISSES = 10_000
"""Firings that a gap swallowed are counted up to here: a year of hourly ones."""
FIRED_RUNS = 64
"""Runs of nominal times that fired, of one schedule: a new one after each outage."""
FIRED_REMEMBERED = 512
"""Nominal times of one schedule that are known to have fired, should the clock go back."""
TALES = 10_000
"""Pieces of history of standing jobs that wait for a report: about 1 MB on an agent's flash."""
CONFIG_POINTS = 64
"""Points of one configuration that is read, compared or put back: what a step's time allows."""
CONFIG_BYTES_KEPT = 4_096
"""One of them as it is kept: CONFIG_POINTS names of 40 characters with their values fit."""
CONFIGS_KEPT = 32
"""Configurations kept of one device, the newest: those of its last jobs, and the named ones."""
RESTORE_RETRY_S = 60
"""First pause before a temporary value that could not be put back is tried again; it doubles."""
RESTORE_RETRY_MAX_S = 3_600
"""Longest such pause: a device that was switched off is set right within the hour."""
RESTORES = 256
"""Temporary values that are put back in one look."""
WRITE_INTERVAL_S = 7 * 86_400
"""Longest pause between two writes that a profile may ask for."""
PULSE_MS = 10_000
"""Longest pulse of a call: the bus is free meanwhile, the device's lane is not."""
PULSE_RESTS = 3
"""How often a pulse's end is written at most until the device takes it."""
PULSE_REST_PAUSE_MS = 200
"""Pause before it is written again: nobody may know that an output stayed on."""
PULSE_REST_S = 10
"""How long that may take: a stop waits for it beside SAFE_STOP_S, service managers for both."""
EXECUTIONS_KEPT_LEAST = 100
"""Finished executions that no cleanup forgets: a grant that comes again must find them."""
SCRIPT_BYTES = 65_536
"""One script: it is read whole, so that the bytes that were checked are those that run."""
SCRIPT_S = 300
"""Longest time of one script, of the processor too."""
SCRIPT_MEMORY_BYTES = 134_217_728
"""Address space of one script: a shell and its tools, on a gateway with 256 MB."""
SCRIPT_FILE_BYTES = 1_048_576
"""Longest file a script may write."""
SCRIPT_SAYS_BYTES = 1_048_576
"""A script that says more is stopped."""
SCRIPT_OUTPUT_BYTES = 512
"""The beginning of its output, as a receipt carries it."""
TRIALS_REMEMBERED = 16
"""Changes of settings that were rolled back, remembered so that their steps learn of it."""
TRIAL_STARTS = 3
"""Processes that may begin under settings on trial: a loop of crashes ends after them."""
TRIAL_LOOK_S = 1
"""Between two looks at whether settings on trial work."""
TRIAL_S = 86_400
"""Longest trial: a site that calls once a day can confirm a change of its link."""
RESTARTS_KEPT = 64
"""Restarts that were asked for, remembered until the step that asked has seen them."""
SUPPORT_BYTES = 262_144
"""One support bundle: the status of DEVICES devices and LOG_TAIL_LINES lines fit."""
SUPPORT_KEPT = 3
"""Support bundles kept on a gateway, the newest."""
LOG_TAIL_LINES = 200
"""Log lines remembered for a support bundle: about 40 kB of memory."""
LOG_TAIL_CHARS = 500
"""One of them; tracebacks are cut."""
CALLS = 64
"""Calls of one profile."""
SITE_LOCK_S = 7 * 86_400
"""Longest lock of a site: what somebody forgot to open again opens itself."""
STANDING_JOBS = 256
"""Schedules and rules on one agent."""
STANDING_LOOK_MS = 3_600_000
"""A schedule is looked at this often at least: timers stand still in suspend."""
SAFE_STOP_S = 5
"""How long an effect that must not be cut is waited for when the agent stops."""
PRIORITIES = 4
"""Levels of priority in an agent's queue: one index seek each."""
FIRINGS_PER_DAY = 1_440
"""Firings of one rule in a day: once a minute is no rule any more, it is a poll."""
STEP_TIMEOUT_S = 86_400
"""One step of one task; the slowest firmware transfer at 1200 baud takes hours, not days."""
SELECTOR_CHARS = 1_024
"""One label selector; people write a few dozen characters."""
CONDITION_CHARS = 1_000
"""One condition; people write a line or two."""
CONDITION_TOKENS = 256
"""Numbers, names and signs of one condition: evaluating it takes some hundred microseconds."""
CONDITION_DEPTH = 16
"""Parentheses within parentheses: what a person can still read, and no stack can overflow."""
CRON_CHARS = 100
"""One cron expression."""
INTERVAL_MIN_S = 1
"""Shortest period of a standing job; what is faster is a poll."""
CATCHUP = 10
"""Firings that are made up after a gap: never a year of them in a loop."""
ON_TIME_MS = 60_000
"""A nominal time that passed less than this ago is on time, not missed: reboots take that long."""
JITTER_S = 86_400
"""How far firings of a fleet may be spread, and how late one may be to share a wake-up."""
WINDOW_S = 7 * 86_400
"""Longest maintenance window."""
QUEUE_TASKS = 10_000
"""Tasks waiting on one agent; jobs that would exceed it are admitted later."""
FIRINGS_TASKS = 5_000
"""Of them those that firings of standing jobs made: what is ordered finds room beside them."""
DETAIL_CHARS = 200
"""One receipt's text for people: a sentence, at most 800 bytes of it."""
WORKERS = 32
"""Attempts at once on one agent: more only wait for each other on its buses."""
EXECUTIONS_KEPT = 1_000
"""Finished and acknowledged executions an agent remembers, so that a repeated grant is a no-op."""
RECEIPTS_KEPT = 512
"""Newest acknowledged receipts an agent keeps for a coordinator that comes back from a copy."""
ARTIFACTS_PER_JOB = 16
"""Files one job names; an update of all slots of a device has about three."""
TEMPLATE_PARAMETERS = 32
"""Blanks of one template: more are a program, not a form."""
TEMPLATES = 1_000
"""Templates of one fleet, each with all its versions."""
VALIDATE_RULES = 16
"""Conditions of one `device.validate`: each tells its own result in the receipt."""
PLAN_EXECUTIONS = 512
"""Waiting executions of one agent that are looked at together for what is needless."""
TRIGGERS = 1_000
"""Triggers of one fleet."""
TRIGGER_FIRINGS = 10_000
"""Firings of one trigger that are kept, the newest."""
TRIGGER_FIRINGS_PER_HOUR = 3_600
"""Jobs one trigger may submit in an hour at most; what is beyond is told and not done."""
TRIGGER_LOOK_S = 30
"""Longest sleep of the loop in which triggers fire."""
TRIGGER_BATCH = 64
"""Firings dealt with in one look, each in a transaction of its own."""
SUPPORT_PART_BYTES = 8_192
"""One piece of a support bundle on its way: with its signature it fits where a report does."""
SUPPORT_PARTS = 16
"""Pieces of one bundle: a log compresses to a tenth, its worst case is cut by `SUPPORT_BYTES`."""
SUPPORT_NAME_CHARS = 80
"""Name of a bundle: the execution and the step that made it."""
SCRIPT_PROCESSES = 64
"""Processes and threads that a script may have beside those its user has anyway."""
FINDINGS_S = 60
"""Longest examination of the box for a support bundle: a link that is silent takes half of it."""
CRASH_LOOK_MS = 300_000
"""After a start, what begins is written through to the disk for so long: a job that takes the power
down each time would never be counted otherwise. Later it costs no flash."""
