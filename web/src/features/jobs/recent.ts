/** The jobs begun in this browser, newest first: the service has no list of them. Numbers and names of segments, nothing secret. */
export interface Recent {
  readonly id: string;
  readonly about: string;
  readonly at: string;
}

const key = 'kohort.jobs';
const most = 30;

const isRecent = (value: unknown): value is Recent =>
  typeof value === 'object' &&
  value !== null &&
  'id' in value &&
  typeof value.id === 'string' &&
  'about' in value &&
  typeof value.about === 'string' &&
  'at' in value &&
  typeof value.at === 'string';

export function recentJobs(): readonly Recent[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(key) ?? '[]');
    return Array.isArray(stored) ? stored.filter(isRecent) : [];
  } catch {
    return [];
  }
}

export function rememberJob(job: Recent): void {
  const others = recentJobs().filter(({ id }) => id !== job.id);
  localStorage.setItem(key, JSON.stringify([job, ...others].slice(0, most)));
}
