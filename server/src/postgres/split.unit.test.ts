import { expect, it } from 'vitest';
import { statementsOf } from './split.ts';

it.each([
  ['', []],
  ['-- nothing; at all\n', []],
  ['SELECT 1', ['SELECT 1']],
  ['SELECT 1;\n\n-- why; really\nSELECT 2;\n', ['SELECT 1', '-- why; really\nSELECT 2']],
  ["SELECT 'a;''b;', \"c;d\"; SELECT 2", ["SELECT 'a;''b;', \"c;d\"", 'SELECT 2']],
  ['/* a; b */ SELECT 1; /* c; */', ['/* a; b */ SELECT 1']],
  [
    "CREATE FUNCTION f() AS $$ BEGIN; 'x' END $$; CREATE FUNCTION g() AS $x$ $$;$$ $x$;",
    ["CREATE FUNCTION f() AS $$ BEGIN; 'x' END $$", 'CREATE FUNCTION g() AS $x$ $$;$$ $x$'],
  ],
  ["SELECT '--;'; SELECT $1; SELECT 'x'", ["SELECT '--;'", 'SELECT $1', "SELECT 'x'"]],
])('splits %j', (file, statements) => {
  expect(statementsOf(file)).toEqual(statements);
});
