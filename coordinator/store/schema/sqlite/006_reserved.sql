-- Reserved for a change that is being made beside this one: its own 006_*.sql replaces this file.
SELECT 1;
