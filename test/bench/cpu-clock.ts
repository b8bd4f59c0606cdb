/**
 * CPU time of another process to the nanosecond, threads that ended included. `/proc/PID/stat`
 * counts in steps of 10 ms, which is a tenth of what starting an agent takes.
 * Adapter: native library.
 */
import { dlopen, FFIType } from "bun:ffi";

const libc = dlopen("libc.so.6", {
  clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
});

/** CPUCLOCK_SCHED of a process: `(~pid << 3) | 2`, the clock that clock_getcpuclockid(3) gives. */
const clockOf = (pid: number): number => (~pid << 3) | 2;

/** `null` once the process is gone. */
export function readCpuNs(pid: number): number | null {
  const time = new BigInt64Array(2);
  if (libc.symbols.clock_gettime(clockOf(pid), time) !== 0) return null;
  const [seconds = 0n, nanoseconds = 0n] = time;
  return Number(seconds * 1_000_000_000n + nanoseconds);
}
