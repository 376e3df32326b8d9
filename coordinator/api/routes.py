"""The whole URL table. A route names the scope it needs; PUBLIC ones are for anybody.

`Limited` ones keep to the agents of a token that is limited to some; to all others such a token
is no key. `tests/golden/rest/matrix.txt` shows who gets which answer.
"""

from functools import partial

from coordinator.api.agents import get_agent, get_agents, release_agent, revoke_agent
from coordinator.api.approvals import (
    deny_approval,
    get_approval,
    get_approvals,
    sign_approval,
)
from coordinator.api.artifacts import (
    announce_artifact,
    delete_artifact,
    fetch_artifact,
    get_artifact,
    get_artifacts,
    get_content,
    head_artifact,
    patch_artifact,
)
from coordinator.api.audit import get_audit
from coordinator.api.candidates import get_candidates, ignore_candidate
from coordinator.api.carrier import fill_stick, take_parcel
from coordinator.api.devices import get_device, get_devices
from coordinator.api.drift import get_compliance, get_drift
from coordinator.api.enrolments import (
    approve_enrolment,
    decommission_agent,
    get_enrolments,
    register_agent,
    reject_enrolment,
    rekey_agent,
)
from coordinator.api.events import get_events, stream_events
from coordinator.api.fleet import (
    create_claim_file,
    get_liveness,
    get_metrics,
    get_readiness,
    get_status,
)
from coordinator.api.gaps import get_gaps
from coordinator.api.jobs import (
    cancel_job,
    get_execution,
    get_executions,
    get_job,
    get_jobs,
    submit_job,
)
from coordinator.api.problems import Kind
from coordinator.api.readings import get_readings
from coordinator.api.repeats import clone_job, get_job_events, retry_job
from coordinator.api.rollouts import (
    advance_rollout,
    cancel_rollout,
    get_rollout,
    get_rollout_members,
    get_rollouts,
    pause_rollout,
    preview_rollout,
    resume_rollout,
    rollback_rollout,
)
from coordinator.api.router import PUBLIC, Route
from coordinator.api.standing import get_alarms, get_firings, get_standing
from coordinator.api.support import get_bundle, get_bundles
from coordinator.api.sync import enroll_agent, hear_word, sync
from coordinator.api.templates import (
    create_template,
    get_template,
    get_templates,
    remove_template,
    submit_template,
)
from coordinator.api.tokens import cancel_token, create_token, get_tokens
from coordinator.api.triggers import (
    create_trigger,
    get_occasions,
    get_trigger,
    get_triggers,
    pause_a_trigger,
    remove_trigger,
    resume_a_trigger,
)
from coordinator.contract.artifacts import PIECE_TYPES
from coordinator.contract.sticks import STICK_TYPE
from coordinator.core.roles import Role

_SIGNED = (Kind.SIGNATURE_INVALID, Kind.AGENT_REVOKED, Kind.TOO_LARGE, Kind.WRONG_MEDIA_TYPE)
_SYNC = (
    *(*_SIGNED, Kind.AGENT_UNKNOWN, Kind.AGENT_LEFT, Kind.KEY_REPLACED, Kind.WRONG_FLEET),
    *(Kind.CERTIFICATE_NEEDED, Kind.CONTACTS_CROWDED),
)
_WORD = (*_SIGNED, Kind.AGENT_UNKNOWN, Kind.AGENT_LEFT, Kind.KEY_REPLACED, Kind.WRONG_FLEET)
_ENROLL = (*_WORD, Kind.CLAIM_INVALID, Kind.ENROLMENT_REJECTED, Kind.ENROLMENT_FULL)
_SUBMIT = (Kind.KEY_REUSED,)
_AGAIN = (Kind.KEY_REUSED, Kind.CONFLICT)
_PARCEL = (*_SIGNED, Kind.AGENT_UNKNOWN, Kind.AGENT_LEFT, Kind.KEY_REPLACED, Kind.WRONG_FLEET)
_RANGE = (Kind.BAD_RANGE,)
_FETCH = (*_WORD, *_RANGE, Kind.CERTIFICATE_NEEDED)
_PIECE = (Kind.CONFLICT, Kind.WRONG_MEDIA_TYPE, Kind.TIMED_OUT)
_SETTLED = (Kind.CONFLICT,)
_SIGN = (Kind.CONFLICT, Kind.SIGNATURE_INVALID)

Limited = partial(Route, limited=True)
_AGENTS = Role.INGEST
_STICK = (STICK_TYPE,)
_TUS = PIECE_TYPES

# fmt: off
ROUTES = (
    Route("POST /v1/sync",                   sync,              PUBLIC, _SYNC, role=_AGENTS),
    Route("POST /v1/enroll",                 enroll_agent,      PUBLIC, _ENROLL, role=_AGENTS),

    Route("POST /v1/word",                   hear_word,         PUBLIC, _WORD, role=_AGENTS),

    Route("POST /v1/agents",                         register_agent,    "agents:write", status=201),
    Route("GET  /v1/enrolments",                     get_enrolments,    "agents:read"),
    Route("POST /v1/enrolments/{enrolment}/approve", approve_enrolment, "agents:write"),
    Route("POST /v1/enrolments/{enrolment}/reject",  reject_enrolment,  "agents:write"),
    Limited("POST /v1/agents/{agent}/rekey",         rekey_agent,        "agents:write"),
    Limited("POST /v1/agents/{agent}/decommission",  decommission_agent, "agents:write"),

    Route("GET  /v1/status",                 get_status,        "fleet:read"),
    Route("POST /v1/claims",                 create_claim_file, "claims:write", status=201),

    Limited("GET  /v1/agents",                 get_agents,    "agents:read"),
    Limited("GET  /v1/agents/{agent}",         get_agent,     "agents:read"),
    Limited("GET  /v1/agents/{agent}/gaps",    get_gaps,      "readings:read"),
    Limited("GET  /v1/agents/{agent}/bundles", get_bundles,   "agents:read"),
    Limited("GET  /v1/agents/{agent}/bundles/{bundle}", get_bundle, "agents:read"),
    Limited("GET  /v1/agents/{agent}/devices/{device}", get_device, "agents:read"),
    Limited("GET  /v1/devices",                get_devices,   "agents:read"),
    Limited("GET  /v1/drift",                  get_drift,     "agents:read"),
    Limited("GET  /v1/compliance",             get_compliance, "agents:read"),
    Limited("GET  /v1/candidates",             get_candidates, "agents:read"),
    Limited("POST /v1/agents/{agent}/candidates", ignore_candidate, "jobs:write"),
    Limited("POST /v1/agents/{agent}/revoke",  revoke_agent,  "agents:write"),
    Limited("POST /v1/agents/{agent}/release", release_agent, "agents:write"),
    Limited("POST /v1/agents/{agent}/stick",   fill_stick,    "agents:write", role=_AGENTS),
    Route("POST /v1/parcels", take_parcel, "agents:write", _PARCEL, role=_AGENTS, takes=_STICK),

    Limited("POST /v1/jobs",                   submit_job,     "jobs:write", _SUBMIT, status=202),
    Limited("GET  /v1/jobs",                   get_jobs,       "jobs:read"),
    Limited("GET  /v1/jobs/{job}",             get_job,        "jobs:read"),
    Limited("POST /v1/jobs/{job}/cancel",      cancel_job,     "jobs:write", _SETTLED, status=202),
    Limited("POST /v1/jobs/{job}/retry",       retry_job,      "jobs:write", _AGAIN, status=202),
    Limited("POST /v1/jobs/{job}/clone",       clone_job,      "jobs:write", _SUBMIT, status=202),
    Limited("GET  /v1/jobs/{job}/history",     get_job_events, "jobs:read"),
    Limited("GET  /v1/jobs/{job}/firings",     get_firings,    "jobs:read"),

    Limited("GET  /v1/templates",                   get_templates,   "jobs:read"),
    Limited("GET  /v1/templates/{template}",        get_template,    "jobs:read"),
    Route("POST /v1/templates",                     create_template, "templates:write", status=201),
    Route("DELETE /v1/templates/{template}",        remove_template, "templates:write", _SETTLED),
    Limited("POST /v1/templates/{template}/submit", submit_template, "jobs:write", _SUBMIT, 202),

    Route("GET  /v1/triggers",                   get_triggers,     "jobs:read"),
    Route("GET  /v1/triggers/{trigger}",         get_trigger,      "jobs:read"),
    Route("GET  /v1/triggers/{trigger}/firings", get_occasions,    "jobs:read"),
    Route("POST /v1/triggers",                   create_trigger,   "triggers:write", status=201),
    Route("POST /v1/triggers/{trigger}/pause",   pause_a_trigger,  "triggers:write"),
    Route("POST /v1/triggers/{trigger}/resume",  resume_a_trigger, "triggers:write"),
    Route("DELETE /v1/triggers/{trigger}",       remove_trigger,   "triggers:write"),

    Limited("GET  /v1/standing",               get_standing,   "jobs:read"),
    Limited("GET  /v1/alarms",                 get_alarms,     "jobs:read"),
    Limited("GET  /v1/executions",             get_executions, "executions:read"),
    Limited("GET  /v1/executions/{execution}", get_execution,  "executions:read"),

    Limited("GET  /v1/events",                  get_events,       "events:read"),
    Limited("GET  /v1/events/stream",           stream_events,    "events:read"),

    Limited("GET  /v1/rollouts",                get_rollouts,     "jobs:read"),
    Limited("GET  /v1/rollouts/{job}",          get_rollout,      "jobs:read"),
    Limited("GET  /v1/rollouts/{job}/members",  get_rollout_members, "jobs:read"),
    Limited("POST /v1/rollouts/preview",        preview_rollout,  "jobs:read"),
    Limited("POST /v1/rollouts/{job}/pause",    pause_rollout,    "jobs:write", _SETTLED, 202),
    Limited("POST /v1/rollouts/{job}/resume",   resume_rollout,   "jobs:write", _SETTLED, 202),
    Limited("POST /v1/rollouts/{job}/advance",  advance_rollout,  "jobs:write", _SETTLED, 202),
    Limited("POST /v1/rollouts/{job}/cancel",   cancel_rollout,   "jobs:write", _SETTLED, 202),
    Limited("POST /v1/rollouts/{job}/rollback", rollback_rollout, "jobs:write", _SETTLED, 202),

    Limited("GET  /v1/approvals",              get_approvals,  "approvals:read"),
    Limited("GET  /v1/approvals/{job}",        get_approval,   "approvals:read"),
    Limited("POST /v1/approvals/{job}/sign",   sign_approval,  "approvals:write", _SIGN),
    Limited("POST /v1/approvals/{job}/deny",   deny_approval,  "approvals:write", _SETTLED),

    Route("POST   /v1/artifacts",            announce_artifact, "artifacts:write", status=201),
    Route("GET    /v1/artifacts",            get_artifacts,     "artifacts:read"),
    Route("GET    /v1/artifacts/{artifact}", get_artifact,      "artifacts:read"),
    Route("HEAD   /v1/artifacts/{artifact}", head_artifact,     "artifacts:read"),
    Route("PATCH  /v1/artifacts/{artifact}", patch_artifact, "artifacts:write", _PIECE, takes=_TUS),
    Route("DELETE /v1/artifacts/{artifact}", delete_artifact,   "artifacts:write", _SETTLED),
    Route("GET /v1/artifacts/{artifact}/content", get_content,  "artifacts:read", _RANGE),
    Route("GET    /v1/fetch/{artifact}",     fetch_artifact,    PUBLIC, _FETCH, role=_AGENTS),

    Route("POST /v1/tokens",                 create_token,      "tokens:write", status=201),
    Route("GET  /v1/tokens",                 get_tokens,        "tokens:read"),
    Route("POST /v1/tokens/{token}/revoke",  cancel_token,      "tokens:write"),
    Route("GET  /v1/audit",                  get_audit,         "audit:read"),

    Limited("GET  /v1/readings",               get_readings,   "readings:read"),

    Route("GET  /livez",                     get_liveness,      PUBLIC, role=None),
    Route("GET  /readyz",                    get_readiness,     PUBLIC, role=None),
    Route("GET  /metrics",                   get_metrics,       "metrics:read", role=None),
)
# fmt: on
