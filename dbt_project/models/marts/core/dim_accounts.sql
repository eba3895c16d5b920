select account_code, name, normal_side, statement, line
from {{ source('raw_c4', 'accounts') }}
