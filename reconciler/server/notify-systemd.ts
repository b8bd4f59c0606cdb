/**
 * Reports to the service manager. Only the end of an activation feeds the watchdog; there is no
 * timer, so a stuck loop stops the keep-alives and the process is restarted. Failed activations
 * feed it too, because a restart fixes neither a full disk nor a lost database; but after
 * `TROUBLE_MS` of nothing but failures a restart is tried.
 */
import type { Notice, ServiceManager } from "../../systemd/notify.ts";
import type { Log } from "../core/clock.ts";

/** Least interval of keep-alives, as a share of the watchdog's time: each costs a system call. */
const QUIET_SHARE = 1 / 4;
/** Least time between restarts: each interrupts reads and reports, which still work. */
const TROUBLE_MS = 10 * 60_000;

export type ServiceWatch = {
  /** The port is open: `systemctl start` returns. */
  ready(status: string): void;
  /** An activation, or a standby's read of the lease, has ended: well, or with an error. */
  turned(ok: boolean): void;
  /** The process is ending. */
  stopping(): void;
};

/** Without a service manager. */
const NO_SERVICE_WATCH: ServiceWatch = {
  ready: () => {},
  turned: () => {},
  stopping: () => {},
};

/**
 * The watch for the manager that started the process `pid`, if one did. Removes the manager's
 * socket from `env`, because child processes must not use it. `monoMs` is monotonic.
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
  /** A notice that the manager did not accept, sent again with the next activation. */
  let owed: Notice | null = null;
  return {
    ready: (status) => {
      const notice: Notice = { ready: true, status };
      owed = manager.notify(notice) ? null : notice;
    },
    turned: (ok) => {
      const now = monoMs();
      if (ok) wellMs = now;
      if (owed !== null && manager.notify(owed)) owed = null;
      if (watchdogMs === null || now - fedMs < watchdogMs * QUIET_SHARE) return;
      if (now - wellMs > TROUBLE_MS) return;
      if (manager.notify({ watchdog: true })) fedMs = now;
    },
    stopping: () => void manager.notify({ stopping: true, status: "stopping" }),
  };
}
