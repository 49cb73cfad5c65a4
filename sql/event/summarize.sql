-- Guarantees: see the function. Returns how many stretches of pages were summarized.
-- Index: event_cursor (in pgflow.summarize_events).
select pgflow.summarize_events()
