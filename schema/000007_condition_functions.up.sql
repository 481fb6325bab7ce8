-- What conditions and buckets ask of values in attributes. Each mirrors a function of segmentation/, and functions.test.ts holds
-- the two together: conditions/version.ts, conditions/instant.ts, the number in bucketKey of decide.ts.

-- A numeral of any length as a text that sorts as the number does: its length in front, leading zeros gone.
CREATE FUNCTION kohort_numeral_key(numeral text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
  digits text := ltrim(numeral, '0');
BEGIN
  RETURN CASE WHEN digits = '' THEN '0000010' ELSE lpad(length(digits)::text, 6, '0') || digits END;
END
$$;

-- The sort key of a version, to be compared under COLLATE "C"; null for a text that is none. Every expression is one that PL/pgSQL
-- computes without a query of its own: a subquery or a function in SQL among them would cost three times as much.
CREATE FUNCTION kohort_version_key(version text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
  plain text;
  numerals text[];
  pre_release text;
  part text;
  key text;
BEGIN
  IF version !~ '^[vV]?[0-9]+(\.[0-9]+(\.[0-9]+)?)?(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$' THEN
    RETURN NULL;
  END IF;
  plain := split_part(ltrim(version, 'vV'), '+', 1);
  numerals := string_to_array(split_part(plain, '-', 1) || '.0.0', '.');
  key := kohort_numeral_key(numerals[1]) || kohort_numeral_key(numerals[2]) || kohort_numeral_key(numerals[3]);
  pre_release := substr(plain, strpos(plain || '-', '-') + 1);
  IF pre_release = '' THEN
    RETURN key || '9';
  END IF;
  FOREACH part IN ARRAY string_to_array(pre_release, '.') LOOP
    key := key || CASE WHEN part ~ '^[0-9]+$' THEN '1' || kohort_numeral_key(part) ELSE '2' || part || '!' END;
  END LOOP;
  RETURN key || '0';
END
$$;

-- The instant that a text names, in milliseconds since 1970: an RFC 3339 time with any offset, finer fractions cut off, or a
-- date, its midnight in UTC. Null for any other text. Years go 400 up and their days down again, since no date has year 0.
CREATE FUNCTION kohort_instant(value text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
  year int;
  zone int;
  midnight bigint;
BEGIN
  IF length(value) > 64 OR value !~ '^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))([Tt]([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$' THEN
    RETURN NULL;
  END IF;
  year := left(value, 4)::int;
  IF substr(value, 6, 5) = '02-29' AND (year % 4 <> 0 OR (year % 100 = 0 AND year % 400 <> 0)) THEN
    RETURN NULL;
  END IF;
  midnight := (make_date(year + 400, substr(value, 6, 2)::int, substr(value, 9, 2)::int) - DATE '1970-01-01' - 146097)::bigint * 86400000;
  IF length(value) = 10 THEN
    RETURN midnight;
  END IF;
  zone := CASE WHEN right(value, 1) IN ('Z', 'z') THEN 1 ELSE 6 END;
  RETURN midnight
    + substr(value, 12, 2)::int * 3600000 + substr(value, 15, 2)::int * 60000 + substr(value, 18, 2)::int * 1000
    + rpad(left(substr(value, 21, greatest(length(value) - 20 - zone, 0)), 3), 3, '0')::int
    - CASE WHEN zone = 1 THEN 0 ELSE
      (substr(value, length(value) - 4, 2)::int * 60 + right(value, 2)::int) * CASE substr(value, length(value) - 5, 1) WHEN '-' THEN -60000 ELSE 60000 END
    END;
END
$$;

-- Whether an array has an element that passes: a version against the key of another, an instant against a moment. Functions, since
-- a subquery would keep the statement around it from scanning in parallel.
CREATE FUNCTION kohort_has_version(elements jsonb, operator text, key text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
  SELECT EXISTS (
    SELECT FROM jsonb_array_elements(elements) AS element,
      LATERAL (SELECT CASE jsonb_typeof(element) WHEN 'string' THEN kohort_version_key(element #>> '{}') COLLATE "C" END) AS found (version)
    WHERE CASE operator
      WHEN '=' THEN version = key
      WHEN '>' THEN version > key
      WHEN '>=' THEN version >= key
      WHEN '<' THEN version < key
      WHEN '<=' THEN version <= key
    END
  )
$$;

CREATE FUNCTION kohort_has_instant(elements jsonb, operator text, moment bigint) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
  SELECT EXISTS (
    SELECT FROM jsonb_array_elements(elements) AS element,
      LATERAL (SELECT CASE jsonb_typeof(element) WHEN 'number' THEN element::numeric WHEN 'string' THEN kohort_instant(element #>> '{}') END) AS found (instant)
    WHERE CASE operator WHEN '<' THEN instant < moment WHEN '>' THEN instant > moment END
  )
$$;

-- A number as JSON.stringify writes it, the key of bucket_by: very large and very small ones have an exponent.
CREATE FUNCTION kohort_number_text(value numeric) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
  digits text;
  exponent int;
BEGIN
  IF value = 0 OR (abs(value) >= 0.000001 AND abs(value) < 1000000000000000000000) THEN
    RETURN trim_scale(value)::text;
  END IF;
  digits := trim(BOTH '0' FROM replace(abs(value)::text, '.', ''));
  exponent := CASE
    WHEN abs(value) >= 1 THEN length(trunc(abs(value))::text) - 1
    ELSE -(length(substring(abs(value)::text FROM '^0\.(0*)')) + 1)
  END;
  RETURN CASE WHEN value < 0 THEN '-' ELSE '' END || left(digits, 1)
    || CASE WHEN length(digits) > 1 THEN '.' || substr(digits, 2) ELSE '' END
    || 'e' || CASE WHEN exponent < 0 THEN '-' ELSE '+' END || abs(exponent)::text;
END
$$;
