DROP FUNCTION kohort_number_text(numeric);
DROP FUNCTION kohort_has_instant(jsonb, text, bigint);
DROP FUNCTION kohort_has_version(jsonb, text, text);
DROP FUNCTION kohort_instant(text);
DROP FUNCTION kohort_version_key(text);
DROP FUNCTION kohort_numeral_key(text);
