import type { WriteStream } from 'node:tty';

export interface Progress {
  /** Reports how far a stage is; `total` if it is known. */
  show(stage: string, done: number, total: number | undefined): void;
  /** Ends the stage. */
  end(): void;
}

const widthColumns = 30;
const lineEveryMs = 5_000;
const barEveryMs = 100;

function amount(done: number, total: number | undefined): string {
  return total === undefined
    ? done.toLocaleString('en')
    : `${done.toLocaleString('en')} of ${total.toLocaleString('en')}`;
}

function bar(stage: string, done: number, total: number | undefined): string {
  if (!total) return `${stage} ${amount(done, total)}`;
  const part = Math.min(1, done / total);
  const full = Math.round(part * widthColumns);
  return `${stage} [${'#'.repeat(full)}${'.'.repeat(widthColumns - full)}] ${Math.floor(part * 100)} %  ${amount(done, total)}`;
}

/** A bar that redraws itself on a terminal; elsewhere a line now and then, so that logs stay readable. */
export function progressOn(out: WriteStream | NodeJS.WriteStream): Progress {
  const isTerminal = 'isTTY' in out && out.isTTY === true;
  let [shownAt, shownStage, isOpen] = [0, '', false];
  return {
    show(stage, done, total) {
      const now = performance.now();
      const isNew = stage !== shownStage;
      const isLast = total !== undefined && done >= total;
      if (!isNew && !isLast && now - shownAt < (isTerminal ? barEveryMs : lineEveryMs)) return;
      if (isTerminal) {
        if (isNew && isOpen) out.write('\n');
        out.write(`\r\x1b[K${bar(stage, done, total)}`);
        isOpen = true;
      } else {
        out.write(`${stage} ${amount(done, total)}\n`);
      }
      [shownAt, shownStage] = [now, stage];
    },
    end() {
      if (isOpen) out.write('\n');
      isOpen = false;
    },
  };
}
