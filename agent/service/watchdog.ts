/**
 * Serves the systemd watchdog: reports ready with the probe loop's first answer, updates the status
 * line, and sends keep-alives while the agent makes progress. A stuck agent sends none and is
 * restarted.
 */
import type { ServiceManager } from "../../systemd/notify.ts";
import type { Log } from "../report/part.ts";
import type { Clock } from "../port/port.ts";
import type { AgentView } from "../report/view.ts";
import type { Progress } from "./progress.ts";

/** Period of the status line without a watchdog. */
const LOOK_MS = 10_000;
/** Sends three keep-alives per watchdog interval. */
const LOOKS_PER_WATCHDOG = 3;

export type WatchdogParts = {
  manager: ServiceManager;
  clock: Clock;
  progress: Progress;
  view: () => AgentView;
  log: Log;
};

export type Watchdog = {
  /** The first probe was answered. */
  ready(): void;
  stop(): void;
};

export function startWatchdog({ manager, clock, progress, view, log }: WatchdogParts): Watchdog {
  const { watchdogMs } = manager;
  const lookMs = watchdogMs === null ? LOOK_MS : Math.min(LOOK_MS, watchdogMs / LOOKS_PER_WATCHDOG);
  let cancel = () => {};
  let begun = false;
  let ready = false;
  let shown = "";
  const look = () => {
    cancel = clock.after(lookMs, look);
    const stuck = progress.stuck();
    if (stuck !== null) log("error", "the agent is stuck", { reason: stuck });
    const status = stuck ?? formatStatus(view(), progress.lastAnswer);
    if (begun && !ready) ready = manager.notify({ ready: true, status });
    if (status !== shown && manager.notify({ status })) shown = status;
    if (stuck === null && watchdogMs !== null) manager.notify({ watchdog: true });
  };
  look();
  return {
    ready: () => {
      begun = true;
      cancel();
      // The agent processes the answer first, so that the status includes it.
      cancel = clock.after(0, look);
    },
    stop: () => {
      cancel();
      manager.notify({ stopping: true, status: "sending the last report" });
    },
  };
}

/** One line for `systemctl status`, of values that change rarely. */
export function formatStatus(view: AgentView, answer: Progress["lastAnswer"]): string {
  const { gpus, simulated, unresponsive, spool } = view;
  const kind = simulated ? "simulated GPU" : "GPU";
  const driver = unresponsive
    ? "the driver does not answer"
    : `${gpus.length} ${kind}${gpus.length === 1 ? "" : "s"}`;
  const kept = spool.depth === 0 ? "" : `, ${spool.depth} findings kept`;
  return `${driver}; ${REACH[answer ?? "first"]}${kept}`;
}

const REACH = {
  first: "nothing reported yet",
  reply: "reporting",
  unauthorized: "the control plane refuses the credential",
  refused: "the control plane refuses a report",
  throttled: "report rate limit of the control plane exceeded",
  unreachable: "the control plane is unreachable",
} as const;
