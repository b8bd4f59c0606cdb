/** Limits on time in tests count CPU, which no other load of the machine lengthens. */

/** What `work` returned, and the milliseconds of CPU that this process spent on it. */
export function withCpuMs<T>(work: () => T): { result: T; cpuMs: number } {
  const start = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(start);
  return { result, cpuMs: (user + system) / 1_000 };
}
