-- Guarantees: null only for a text that can stand between parentheses as one expression, whatever it says: it can
-- neither end them, nor begin another statement, nor hide what comes after it in a comment. Else what is wrong with it.
-- Once what is quoted is gone (where there is no backslash, that ends at its own quote alone), nothing may be left that
-- quotes, comments or separates, and every parenthesis has its other.
-- Index: none, because it reads nothing.
create or replace function pgflow.fault_of_condition(condition text) returns text
language plpgsql immutable strict
as $$
declare
    bare text := regexp_replace(condition, $re$'[^']*'|"[^"]*"$re$, ' ', 'g');
    before text;
begin
    if length(condition) > 2000 then
        return 'it is longer than 2000 characters';
    elsif condition !~ '\S' then
        return 'it is empty';
    elsif condition like '%\\%' or bare ~ $re$['";$]|--|/\*$re$ then
        return 'it may hold no semicolon, comment, backslash or dollar sign, and every quote has to be closed';
    end if;
    loop
        before := bare;
        bare := regexp_replace(bare, '\([^()]*\)', ' ', 'g');
        exit when bare = before;
    end loop;
    if bare ~ '[()]' then
        return 'its parentheses do not match';
    end if;
    return null;
end
$$;
