-- Reserved for a change that is being made beside 003: its own 002_*.sql replaces this file.
SELECT 1;
