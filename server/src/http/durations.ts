import { Histogram, type Registry } from 'prom-client';

const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const labelNames = ['method', 'route', 'status'] as const;

type Label = (typeof labelNames)[number];
type Labels = Readonly<Record<Label, string | number>>;

/** The durations of calls that have the same labels. */
class Series {
  readonly labels: Labels;
  /** By bucket, not added up; the last one is of those above all bounds. */
  readonly #counts = new Array<number>(buckets.length + 1).fill(0);
  #sum = 0;

  constructor(labels: Labels) {
    this.labels = labels;
  }

  observe(seconds: number): void {
    let place = 0;
    while (place < buckets.length && seconds > (buckets[place] ?? 0)) place++;
    this.#counts[place] = (this.#counts[place] ?? 0) + 1;
    this.#sum += seconds;
  }

  values(name: string) {
    let count = 0;
    const added = this.#counts.map((one, i) => {
      count += one;
      return { metricName: `${name}_bucket`, value: count, labels: { le: buckets[i] ?? '+Inf', ...this.labels } };
    });
    const { labels } = this;
    return [
      ...added,
      { metricName: `${name}_sum`, value: this.#sum, labels },
      { metricName: `${name}_count`, value: count, labels },
    ];
  }
}

/**
 * The histogram of requests. The library checks and hashes the labels of each observation, which is a fiftieth of what a call on
 * the fast path takes; here that is done once for each series.
 */
export class Durations extends Histogram<Label | 'le'> {
  /** Stays empty: it knows what else a registry wants to know of a histogram. */
  readonly #empty: Histogram<Label | 'le'>;
  readonly #series = new Map<string, Series>();

  constructor(name: string, help: string, registry: Registry) {
    super({ name, help, buckets, registers: [registry] });
    this.#empty = new Histogram({ name, help, buckets, registers: [] });
  }

  /** What observes calls with these labels, in seconds. */
  observerOf(labels: Labels): (seconds: number) => void {
    const key = labelNames.map((label) => labels[label]).join(' ');
    const series = this.#series.get(key) ?? new Series(labels);
    this.#series.set(key, series);
    return (seconds) => series.observe(seconds);
  }

  override async get() {
    const head = await this.#empty.get();
    return { ...head, values: [...this.#series.values()].flatMap((one) => one.values(head.name)) };
  }

  /** What the registry calls instead where the metrics become a text. */
  getForPromString() {
    return this.get();
  }
}
