import { classes } from './classes.ts';
import { layout } from './layout.tsx';
import styles from './meter.module.css';

/** Shows progress in percent, and in words if given. */
export function Meter(props: { readonly label: string; readonly share: number; readonly words?: string }) {
  const share = Math.max(0, Math.min(100, props.share));
  return (
    <div className={classes(layout.stack, layout.tight)}>
      <div
        className={styles.bar}
        role="progressbar"
        aria-label={props.label}
        aria-valuenow={Math.round(share)}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuetext={props.words}
      >
        <div className={styles.fill} style={{ width: `${share}%` }} />
      </div>
      {props.words !== undefined && <span className={classes(layout.soft, layout.small)}>{props.words}</span>}
    </div>
  );
}
