/**
 * Keeps the service manager up to date: ready with the first answer of the probe loop, a status
 * line, and the watchdog fed for as long as the agent gets on. The look at it is regular, but what
 * feeds the watchdog is the progress that it finds: an agent whose loops stand still says nothing,
 * and is restarted.
 */
import type { ServiceManager } from "../../systemd/notify.ts";
import type { Log } from "../report/part.ts";
import type { Clock } from "../port.ts";
import type { AgentView } from "../report/view.ts";
import type { Progress } from "./progress.ts";

/** Without a watchdog only the status line is looked after. */
const LOOK_MS = 10_000;
/** One word may be lost or late, and the next still comes in time. */
const LOOKS_PER_WATCHDOG = 3;

export type AttendParts = {
  manager: ServiceManager;
  clock: Clock;
  progress: Progress;
  view: () => AgentView;
  log: Log;
};

export type Attendance = {
  /** The first probe was answered: nothing is missing to be ready. */
  ready(): void;
  /** The agent is saying goodbye. */
  stop(): void;
};

export function attend({ manager, clock, progress, view, log }: AttendParts): Attendance {
  const { watchdogMs } = manager;
  const lookMs = watchdogMs === null ? LOOK_MS : Math.min(LOOK_MS, watchdogMs / LOOKS_PER_WATCHDOG);
  let cancel = () => {};
  let begun = false;
  let ready = false;
  let told = "";
  const look = () => {
    cancel = clock.after(lookMs, look);
    const stuck = progress.stuck();
    if (stuck !== null) log("error", "the agent does not get on", { reason: stuck });
    const status = stuck ?? formatStatus(view(), progress.lastAnswer);
    if (begun && !ready) ready = manager.tell({ ready: true, status });
    if (status !== told && manager.tell({ status })) told = status;
    if (stuck === null && watchdogMs !== null) manager.tell({ watchdog: true });
  };
  look();
  return {
    ready: () => {
      begun = true;
      cancel();
      // The answer that began it goes to the agent first, so that the status knows of it.
      cancel = clock.after(0, look);
    },
    stop: () => {
      cancel();
      manager.tell({ stopping: true, status: "saying goodbye" });
    },
  };
}

/** One line for `systemctl status`; only what changes rarely, so that it is rarely said. */
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
  unreachable: "the control plane is away",
} as const;
