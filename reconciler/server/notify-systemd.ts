/**
 * Keeps the service manager up to date about the control plane. The watchdog is fed by the end of
 * an activation, and by nothing else: there is no timer here, so a loop that stands still says
 * nothing and the process is restarted. An activation that failed is a turn of the loop too,
 * because restarting fixes neither a full disk nor a lost database; but a loop that has only
 * failed for `TROUBLE_MS` is given that chance.
 */
import type { Notice, ServiceManager } from "../../systemd/notify.ts";
import type { Log } from "../core/clock.ts";

/** The share of the watchdog's time that passes in silence: words cost a system call each. */
const QUIET_SHARE = 1 / 4;
/**
 * Reads, the console and the agents' reports go on while activations fail, and a restart cuts them
 * off for a moment each time. Nothing is fixed by restarting more often than this.
 */
const TROUBLE_MS = 10 * 60_000;

export type ServiceWatch = {
  /** It listens: `systemctl start` returns. */
  ready(status: string): void;
  /** One line for `systemctl status`. */
  status(text: string): void;
  /** An activation, or a standby's look at the lease, has ended: well, or with an error. */
  turned(ok: boolean): void;
  /** On its way out. */
  stopping(): void;
};

/** Nobody listens. */
const NO_SERVICE_WATCH: ServiceWatch = {
  ready: () => {},
  status: () => {},
  turned: () => {},
  stopping: () => {},
};

/**
 * The watch of the manager that started the process `pid`, if one did. Its socket is taken out of
 * `env`: whatever this process starts has nothing to say there. `monoMs` never goes back.
 */
export async function openService(
  env: Record<string, string | undefined>,
  pid: number,
  monoMs: () => number,
  log: Log,
): Promise<ServiceWatch> {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = env;
  if (!NOTIFY_SOCKET) return NO_SERVICE_WATCH;
  delete env["NOTIFY_SOCKET"];
  const { openServiceManager } = await import("../../systemd/notify.ts");
  const answer = openServiceManager({ NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID }, pid);
  if (answer.kind === "failed") {
    log("error", "cannot talk to the service manager", { reason: answer.message });
  }
  return answer.kind === "manager" ? openServiceWatch(answer.manager, monoMs) : NO_SERVICE_WATCH;
}

export function openServiceWatch(manager: ServiceManager, monoMs: () => number): ServiceWatch {
  const { watchdogMs } = manager;
  let fedMs = -Infinity;
  let wellMs = monoMs();
  let told = "";
  /** What the manager had no room for, said again with the next turn. */
  let owed: Notice | null = null;
  const say = (notice: Notice): void => {
    const whole = { ...owed, ...notice };
    owed = manager.tell(whole) ? null : whole;
  };
  return {
    ready: (status) => {
      told = status;
      say({ ready: true, status });
    },
    status: (text) => {
      if (text === told) return;
      told = text;
      say({ status: text });
    },
    turned: (ok) => {
      const now = monoMs();
      if (ok) wellMs = now;
      if (owed !== null) say({});
      if (watchdogMs === null || now - fedMs < watchdogMs * QUIET_SHARE) return;
      if (now - wellMs > TROUBLE_MS) return;
      if (manager.tell({ watchdog: true })) fedMs = now;
    },
    stopping: () => void manager.tell({ stopping: true, status: "stopping" }),
  };
}
