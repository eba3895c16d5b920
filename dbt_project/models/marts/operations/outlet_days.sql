{{ config(tags=['close']) }}

-- A day counts as posted when every journal it needs is live in the target with the content it has now. The state is
-- that of the journal furthest behind.
with documents as (
    select
        entity_id,
        outlet_id,
        business_date,
        journal_type,
        status,
        version,
        row_number() over (
            partition by entity_id, outlet_id, business_date, journal_type
            order by version desc, case kind when 'reversal' then 0 else 1 end desc, reference desc
        ) as place
    from {{ source('raw_c4', 'outbox') }}
),

latest as (
    select
        entity_id,
        outlet_id,
        business_date,
        journal_type,
        max(case when place = 1 then status end) as status,
        max(version) as version,
        max(case when status in ('posted', 'confirmed') then 1 else 0 end) = 1 as was_posted
    from documents
    group by entity_id, outlet_id, business_date, journal_type
),

changed as (
    select distinct entity_id, outlet_id, business_date, journal_type from {{ ref('journal_corrections') }}
),

-- Every journal that the day has or had.
keys as (
    select entity_id, outlet_id, business_date, journal_type from {{ ref('journals') }}
    union
    select entity_id, outlet_id, business_date, journal_type from latest
),

journals as (
    select
        k.outlet_id,
        k.business_date,
        k.journal_type,
        coalesce(l.was_posted, false) as was_posted,
        coalesce(l.was_posted, false) and c.entity_id is null as is_live,
        coalesce(l.version, 0) as version,
        case k.journal_type when 'DSJ' then 'sales' when 'COG' then 'cost of sales' else 'labor' end
        || ': ' || case
            when c.entity_id is not null and coalesce(j.hold_reason, '') <> ''
                then 'changed after posting, correction held: ' || j.hold_reason
            when l.status = 'rejected' then 'the target refused the journal'
            when l.status = 'uncertain' then 'posting has no answer yet and is being looked up'
            when l.status = 'failed' then 'posting failed and is tried again'
            when l.status = 'sending' then 'posting is under way'
            when c.entity_id is not null then 'changed after posting, correction waits for the next export'
            when j.hold_reason <> '' then j.hold_reason
            when j.target = '' then 'no accounting target is configured'
            when l.status = 'planned' then 'planned, waits for approval or the next export'
            else 'waits for the next export'
        end as reason,
        coalesce(j.hold_reason, '') <> '' as is_held,
        j.target = '' as has_no_target
    from keys as k
    left join {{ ref('journals') }} as j
        on j.entity_id = k.entity_id
        and j.outlet_id = k.outlet_id
        and j.business_date = k.business_date
        and j.journal_type = k.journal_type
    left join latest as l
        on l.entity_id = k.entity_id
        and l.outlet_id = k.outlet_id
        and l.business_date = k.business_date
        and l.journal_type = k.journal_type
    left join changed as c
        on c.entity_id = k.entity_id
        and c.outlet_id = k.outlet_id
        and c.business_date = k.business_date
        and c.journal_type = k.journal_type
),

days as (
    select
        outlet_id,
        business_date,
        count(*) as journals,
        count(case when is_live then 1 end) as live_journals,
        max(version) as version,
        count(case when was_posted and not is_live then 1 end) as changed_journals,
        count(case when not is_live and is_held then 1 end) as held_journals,
        count(case when not is_live and has_no_target is not true then 1 end) as waiting_journals,
        concat_ws(
            '; ',
            min(case when not is_live and journal_type = 'DSJ' then reason end),
            min(case when not is_live and journal_type = 'COG' then reason end),
            min(case when not is_live and journal_type = 'LAB' then reason end)
        ) as reasons
    from journals
    group by outlet_id, business_date
)

select
    r.outlet_id,
    r.entity_id,
    r.business_date,
    case
        when e.lock_date >= r.business_date or r.is_before_posting then 'locked'
        when d.changed_journals > 0 then 'amended'
        when not r.is_complete then 'open'
        when d.journals > 0 and d.live_journals = d.journals and d.version > 1 then 'amended'
        when d.journals > 0 and d.live_journals = d.journals and r.has_sales then 'posted'
        when not r.has_sales and not r.is_proven_closed then 'open'
        when coalesce(d.live_journals, 0) = coalesce(d.journals, 0) and r.sales_hold is null then 'posted'
        when d.held_journals > 0 or r.sales_hold is not null then 'closed'
        else 'postable'
    end as state,
    case
        when r.is_before_posting then 'posting begins on ' || cast(e.posts_from as varchar)
        when coalesce(d.reasons, '') <> '' then d.reasons
        when not r.is_complete then coalesce(r.sales_hold, r.labor_hold)
        when d.live_journals = d.journals and d.version > 1 then 'corrected after posting'
        when d.live_journals = d.journals and r.has_sales then 'all journals are in the books'
        when r.sales_hold is not null then r.sales_hold
        when not r.has_sales then 'no sales: ' || coalesce(r.closed_reason, 'the POS report shows none')
        else 'nothing to post'
    end as reason,
    case
        when r.is_before_posting then ''
        when not r.is_complete then 'data'
        when d.journals > 0 and d.live_journals = d.journals then ''
        when r.sales_hold is not null or d.held_journals > 0 then 'controller'
        when d.waiting_journals > 0 then 'export'
        else ''
    end as waits_for,
    cast(coalesce(d.journals, 0) as integer) as journals,
    cast(coalesce(d.live_journals, 0) as integer) as live_journals,
    cast(coalesce(d.version, 0) as integer) as version,
    r.starts_at,
    r.ends_at
from {{ ref('int_close__readiness') }} as r
inner join {{ source('raw_c4', 'entities') }} as e
    on e.entity_id = r.entity_id
left join days as d
    on d.outlet_id = r.outlet_id
    and d.business_date = r.business_date
