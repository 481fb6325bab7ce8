import type { ReactNode } from 'react';
import { layout } from './layout.tsx';

interface TableProps {
  readonly label: string;
  readonly heads: readonly string[];
  /** Its rows. */
  readonly children: ReactNode;
}

/** A table of moderate length, which scrolls sideways on narrow pages. */
export function Table({ label, heads, children }: TableProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be focusable
    <section className={layout.scroll} tabIndex={0} aria-label={label}>
      <table className={layout.table}>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  );
}
