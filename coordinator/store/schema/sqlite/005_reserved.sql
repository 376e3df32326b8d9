-- Reserved for a change that is being made beside this one: its own 005_*.sql replaces this file.
SELECT 1;
