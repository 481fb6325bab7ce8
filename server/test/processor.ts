/** Milliseconds of processor time that this process has taken: unlike the clock, they do not depend on what else runs. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
