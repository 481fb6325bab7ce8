import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { classes } from './classes.ts';
import styles from './rows.module.css';

export interface Column<Row> {
  readonly title: string;
  /** A track of the grid: `minmax(0, 2fr)`. */
  readonly width: string;
  readonly render: (row: Row) => ReactNode;
  readonly isEnd?: boolean;
  /** Hidden on narrow pages. */
  readonly isWideOnly?: boolean;
}

interface RowsProps<Row> {
  readonly label: string;
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string | number;
  /** Called when the last rows come into view, to load more. */
  readonly onEnd?: () => void;
  readonly hasMore?: boolean;
  readonly foot?: ReactNode;
}

const estimatedRowPx = 56;
const beyond = 12;

/** A table of any length: only the visible rows are in the page, and the window scrolls them. */
export function Rows<Row>({ label, rows, columns, keyOf, onEnd, hasMore = false, foot }: RowsProps<Row>) {
  const list = useRef<HTMLDivElement>(null);
  const [offset, setOffset] = useState(0);
  useLayoutEffect(() => {
    const top = list.current?.getBoundingClientRect().top ?? 0;
    setOffset(Math.round(top + window.scrollY));
  });
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => estimatedRowPx,
    overscan: beyond,
    scrollMargin: offset,
    getItemKey: (index) => {
      const row = rows[index];
      return row === undefined ? index : keyOf(row);
    },
  });
  const items = virtual.getVirtualItems();
  const lastShown = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (hasMore && lastShown >= rows.length - beyond) onEnd?.();
  }, [hasMore, lastShown, rows.length, onEnd]);
  const gridTemplateColumns = columns.map(({ width }) => width).join(' ');

  return (
    <div className={styles.frame}>
      <div role="table" aria-label={label} aria-rowcount={hasMore ? -1 : rows.length + 1}>
        <div role="row" className={styles.head} style={{ gridTemplateColumns }} aria-rowindex={1}>
          {columns.map(({ title, isEnd }) => (
            <span role="columnheader" key={title} className={classes(styles.cell, isEnd && styles.end)}>
              {title}
            </span>
          ))}
        </div>
        <div role="rowgroup" className={styles.window} ref={list} style={{ height: virtual.getTotalSize() }}>
          {items.map(({ index, key, start }) => {
            const row = rows[index];
            if (row === undefined) return null;
            return (
              <div
                role="row"
                key={key}
                data-index={index}
                aria-rowindex={index + 2}
                ref={virtual.measureElement}
                className={styles.row}
                style={{ gridTemplateColumns, transform: `translateY(${start - offset}px)` }}
              >
                {columns.map(({ title, render, isEnd, isWideOnly }) => (
                  <div
                    role="cell"
                    key={title}
                    className={classes(styles.cell, isEnd && styles.end, isWideOnly && styles.wideOnly)}
                  >
                    {render(row)}
                  </div>
                ))}
              </div>
            );
          })}
        </div>
      </div>
      {foot !== undefined && <div className={styles.foot}>{foot}</div>}
    </div>
  );
}
