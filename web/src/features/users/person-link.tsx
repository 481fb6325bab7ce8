import { Link } from '@tanstack/react-router';
import { classes } from '../../ui/classes.ts';
import { layout } from '../../ui/layout.tsx';

export interface Named {
  readonly id: number;
  readonly external_id: string | null;
  readonly name: string | null;
}

/** A link to a person: by name with an id beside it, else by external id, else by id. */
export function PersonLink({ user }: { readonly user: Named }) {
  const name = user.name ?? user.external_id ?? `#${user.id}`;
  const beside = user.name === null ? undefined : (user.external_id ?? `#${user.id}`);
  return (
    <>
      <Link to="/people/$user" params={{ user: String(user.id) }}>
        {name}
      </Link>
      {beside !== undefined && <span className={classes(layout.soft, layout.small)}> {beside}</span>}
    </>
  );
}
