select 1 as id, 'someone@example.com' as email, 10 as amount
