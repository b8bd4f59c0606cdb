/**
 * Runs the probe child, the only process that calls the vendor library: a call can block without
 * limit or crash. It answers one request at a time, polls for events in between, and dies with its
 * parent. It imports only what it needs: its memory counts with the agent's.
 * Adapter: native library, IPC, clock.
 */
import { NvmlDriver, type Reading, type Step } from "./driver.ts";
import { openLibrary } from "./library.ts";
import { PROBE_PROTOCOL, type ProbeMessage, type ProbeRequest } from "./message.ts";

/**
 * The kernel log reports the same XIDs at once, and each sample the recovery action; one wake-up a
 * second would cost about 0.01 % of a core.
 */
const EVENT_POLL_MS = 3_000;

/**
 * Serves the parent over IPC and exits when the channel closes. `argv[0]` is an absolute path of
 * the library, or absent for the search list.
 */
export function runProbeChild(argv: readonly string[]): void {
  const send = process.send?.bind(process);
  if (send === undefined) {
    process.stderr.write("the probe child is started by the agent, never by hand\n");
    process.exit(2);
  }
  const post = (message: ProbeMessage) => send(message);
  const step = throttleSteps((opening) => {
    post({ kind: "step", protocol: PROBE_PROTOCOL, opening });
  });
  const source = openSource(argv[0] ?? null, step);
  process.on("disconnect", () => process.exit(0));
  process.on("message", (request: ProbeRequest) => {
    const { id, op } = request;
    const reading = source.with<unknown>((driver) => driver[op]());
    // The types cannot express that the reading belongs to `op`.
    post({ kind: "reply", protocol: PROBE_PROTOCOL, id, op, reading } as ProbeMessage);
    // After a driver upgrade only a new process can load the matching library.
    if (source.outdated()) setTimeout(() => process.exit(0), 0);
  });
  setInterval(() => {
    const events = source.driver()?.events() ?? [];
    if (events.length > 0) post({ kind: "events", protocol: PROBE_PROTOCOL, events });
  }, EVENT_POLL_MS);
}

/** A message costs more than a healthy reading: steps are reported at most this often. */
const STEP_MS = 1_000;

function throttleSteps(report: (opening: boolean) => void): Step {
  let atMs = performance.now();
  let last = false;
  return (opening) => {
    const nowMs = performance.now();
    if (opening === last && nowMs - atMs < STEP_MS) return;
    atMs = nowMs;
    last = opening;
    report(opening);
  };
}

/** Searches the library with each request until it is found. */
function openSource(explicit: string | null, step: Step) {
  let driver: NvmlDriver | null = null;
  let outdated = false;
  const withDriver = <T>(read: (driver: NvmlDriver) => Reading<T>): Reading<T> => {
    if (driver === null) {
      const opened = openLibrary(explicit);
      if (opened.kind === "failed") return opened;
      driver = new NvmlDriver(
        opened.bound,
        () => performance.now(),
        () => Date.now(),
        step,
      );
    }
    const reading = read(driver);
    outdated = reading.kind === "failed" && reading.failure.reason === "version";
    return reading;
  };
  return { with: withDriver, driver: () => driver, outdated: () => outdated };
}
