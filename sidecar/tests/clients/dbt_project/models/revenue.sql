select c.email, sum(o.amount) as amount from {{ ref('orders') }} as o join {{ ref('customers') }} as c using (id) group by 1
