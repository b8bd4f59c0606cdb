/**
 * The probe child: the only process that ever enters the vendor library, because a call into it can
 * block without limit or crash. It answers one request at a time, polls for events in between, and
 * dies with its parent. It imports nothing that it does not need: its memory is counted with the
 * agent's.
 * Adapter: native library, IPC, clock.
 */
import { NvmlDriver, type Reading, type Step } from "./driver.ts";
import { openLibrary } from "./library.ts";
import { PROBE_PROTOCOL, type ProbeMessage, type ProbeRequest } from "./message.ts";
import type { NvmlFailure } from "../reading.ts";

/**
 * How late an event of the library may be. The kernel log brings the same XIDs at once, and each
 * sample the recovery action; one wake-up a second costs about a hundredth of a percent of a core.
 */
const EVENT_POLL_MS = 3_000;

/**
 * Serves the parent at the other end of the IPC channel. `argv[0]` is an absolute path of the
 * library, or absent for the search list. Exits when the channel closes.
 */
export function runProbeChild(argv: readonly string[]): void {
  const send = process.send?.bind(process);
  if (send === undefined) {
    process.stderr.write("the probe child is started by the agent, never by hand\n");
    process.exit(2);
  }
  const tell = (message: ProbeMessage) => send(message);
  const step = throttleSteps((opening) => {
    tell({ kind: "step", protocol: PROBE_PROTOCOL, opening });
  });
  const source = openSource(argv[0] ?? null, step);
  process.on("disconnect", () => process.exit(0));
  process.on("message", (request: ProbeRequest) => {
    const { id, op } = request;
    const reading = source.with<unknown>((driver) => driver[op]());
    // The operation's own reading, which the types cannot follow.
    tell({ kind: "reply", protocol: PROBE_PROTOCOL, id, op, reading } as ProbeMessage);
    // A library that no longer fits the kernel module stays loaded for the life of a process, and
    // after an upgrade of the driver the right one is on disk: the next child will load that.
    if (source.outdated()) setTimeout(() => process.exit(0), 0);
  });
  setInterval(() => {
    const events = source.driver()?.events() ?? [];
    if (events.length > 0) tell({ kind: "events", protocol: PROBE_PROTOCOL, events });
  }, EVENT_POLL_MS);
}

/**
 * A healthy driver reads all GPUs in milliseconds, and a message costs more than that: only what
 * takes long is reported, and where the next thing has another time than the last.
 */
const STEP_MS = 1_000;

function throttleSteps(tell: (opening: boolean) => void): Step {
  let atMs = performance.now();
  let last = false;
  return (opening) => {
    const nowMs = performance.now();
    if (opening === last && nowMs - atMs < STEP_MS) return;
    atMs = nowMs;
    last = opening;
    tell(opening);
  };
}

/** The library, looked for again with each request until it is there. */
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
    outdated = reading.kind === "failed" && isOutdated(reading.failure);
    return reading;
  };
  return { with: withDriver, driver: () => driver, outdated: () => outdated };
}

function isOutdated(failure: NvmlFailure): boolean {
  return failure.reason === "version";
}
