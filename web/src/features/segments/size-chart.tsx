import { useEffect, useRef } from 'react';
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Sizes } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';

const heightPx = 260;
/** An axis of more than a day and a half shows days; below ten minutes it shows seconds. */
const [longS, shortS] = [129_600, 600];

/** The size over time as a line. The table beside it has the same data for readers who cannot see it. */
export default function SizeChart({ points }: { readonly points: Sizes['points'] }) {
  const { text, language, number } = useSpeech();
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const styles = getComputedStyle(document.documentElement);
    // A canvas does not support `light-dark()`, so the colours are read from an element, which does.
    const probe = element.appendChild(document.createElement('span'));
    const colour = (name: string) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    const [line, grid, soft] = [colour('--accent'), colour('--line'), colour('--text-soft')];
    probe.remove();
    const font = `12px ${styles.fontFamily}`;
    const axis = { stroke: soft, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    const times = new Intl.DateTimeFormat(language, { month: 'short', day: 'numeric' });
    const hours = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit' });
    const seconds = new Intl.DateTimeFormat(language, { minute: '2-digit', second: '2-digit' });
    const chart = new UPlot(
      {
        width: element.clientWidth,
        height: heightPx,
        legend: { show: false },
        cursor: { y: false },
        scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.08)] } },
        axes: [
          {
            ...axis,
            values: (_, ticks) => {
              const span = (ticks.at(-1) ?? 0) - (ticks[0] ?? 0);
              const format = span > longS ? times : span < shortS ? seconds : hours;
              return ticks.map((tick) => format.format(tick * 1000));
            },
          },
          {
            ...axis,
            size: 64,
            values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? number(tick) : '')),
          },
        ],
        series: [
          {},
          {
            stroke: line,
            width: 2,
            fill: `color-mix(in srgb, ${line} 14%, transparent)`,
            points: { show: points.length < 3 },
          },
        ],
      },
      [points.map(({ at }) => Date.parse(at) / 1000), points.map(({ count }) => count)],
      element,
    );
    const resize = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: heightPx }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      chart.destroy();
    };
  }, [points, language, number]);
  const last = points.at(-1);
  return <div ref={box} role="img" aria-label={text('charts.alt', { count: last?.count ?? 0 })} />;
}
