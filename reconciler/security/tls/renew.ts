/**
 * A listening server whose certificate changes while it runs, by renewal or because its files have
 * changed. Bun 1.4.5 cannot change the certificate of a listening server (`reload` silently ignores
 * `tls`), so a second server takes over the port: the first stops listening and keeps its open
 * connections. Calls in the milliseconds between are refused by the system and retried.
 *
 * An unusable certificate is rejected before anything is stopped. If the second server cannot
 * listen, one with the previous certificate does; if that fails too, it is retried each second.
 */
import type { Clock, Log } from "../../core/clock.ts";
import { whyUnfit } from "./fit.ts";
import type { ServerTls } from "./open.ts";

/** Interval of checks of the own certificate's addresses and dates; it renews a month ahead. */
const LOOK_MS = 24 * 3_600_000;
/** Interval of reads of certificate files, and of retries after a failure. */
const SOON_MS = 60_000;
/** Retry interval while nothing listens. */
const DEAF_MS = 1_000;
/** A lasting problem is logged again at this interval. */
const LOG_MS = 24 * 3_600_000;

/** The part of Bun's server that is used. */
export type Listening = {
  readonly port: number | undefined;
  stop(closeActiveConnections?: boolean): Promise<void>;
};

export type Renewing = {
  readonly port: number;
  /** What new callers are shown, and what this process shows itself, as of the last check. */
  shown(): ServerTls | null;
  /** Checks now: true if another certificate is shown from then on. */
  look(): Promise<boolean>;
  stop(): Promise<void>;
};

export type RenewingFrom = {
  /** `port` is 0 the first time if any port will do. Throws if it cannot bind. */
  listen(tls: ServerTls | null, port: number): Listening;
  /** What should be shown now. */
  open(): Promise<ServerTls | null>;
  tls: ServerTls | null;
  port: number;
  clock: Clock;
  log: Log;
};

/** Throws if the port cannot be bound; later failures are logged. */
export function openRenewing(from: RenewingFrom): Renewing {
  const { clock, log } = from;
  const socket = openSocket(from);
  const problem = openProblem(clock, log);
  let stopped = false;
  let cancel = (): void => undefined;
  const look = async (): Promise<boolean> => {
    if (stopped) return false;
    try {
      if (socket.listenAgain()) {
        log("info", "listening again, with the previous certificate");
        return false;
      }
      const next = await from.open();
      if (stopped || next === null) return false;
      const unfit = whyUnfit(next);
      if (unfit !== null) throw new Error(unfit);
      const changed = socket.show(next);
      if (changed) log("info", "certificate replaced");
      problem.over();
      return changed;
    } catch (error) {
      problem.report(socket.isDeaf() ? "deaf" : "old", error);
      return false;
    }
  };
  const delayMs = (): number => {
    if (socket.isDeaf()) return DEAF_MS;
    const isOwn = socket.tls()?.renewAtMs !== null;
    return isOwn && !problem.isOpen() ? LOOK_MS : SOON_MS;
  };
  const arm = (): void => {
    cancel = clock.after(delayMs(), () => {
      void look().then(() => {
        if (!stopped) arm();
      });
    });
  };
  if (from.tls !== null) arm();
  return {
    port: socket.port,
    shown: socket.tls,
    look,
    async stop() {
      stopped = true;
      cancel();
      await socket.stop();
    },
  };
}

type Socket = {
  readonly port: number;
  tls(): ServerTls | null;
  isDeaf(): boolean;
  /** Listens with the last certificate if nothing listens; true if it did. Throws on failure. */
  listenAgain(): boolean;
  /** True if callers see a difference. On failure the old certificate stays, and it throws. */
  show(next: ServerTls): boolean;
  stop(): Promise<void>;
};

/** One port, and the server that listens there at the moment. */
function openSocket({ listen, ...from }: RenewingFrom): Socket {
  let { tls } = from;
  let server: Listening | null = listen(tls, from.port);
  const port = server.port ?? 0;
  /** Servers that no longer listen and still have connections. */
  const retired = new Set<Listening>();
  const retire = (old: Listening): void => {
    retired.add(old);
    const forget = (): void => void retired.delete(old);
    // Resolves when its last connection has ended.
    old.stop(false).then(forget, forget);
  };
  const listenAgain = (): boolean => {
    if (server !== null) return false;
    server = listen(tls, port);
    return true;
  };
  return {
    port,
    tls: () => tls,
    isDeaf: () => server === null,
    listenAgain,
    show(next) {
      const isSame = tls !== null && isSameFor(tls, next);
      if (!isSame) {
        if (server !== null) retire(server);
        server = null;
        try {
          server = listen(next, port);
        } catch (cause) {
          const why = `cannot listen with it: ${String(cause)}`;
          listenAgain();
          throw new Error(why, { cause });
        }
      }
      tls = next;
      return !isSame;
    },
    async stop() {
      const all = server === null ? [...retired] : [server, ...retired];
      await Promise.all(all.map((one) => one.stop(true)));
    },
  };
}

/** Compares what callers see; what this process shows to others is remade each time. */
function isSameFor(one: ServerTls, other: ServerTls): boolean {
  return one.cert === other.cert && one.key === other.key && one.clientCa === other.clientCa;
}

type Problem = {
  isOpen(): boolean;
  report(kind: "deaf" | "old", error: unknown): void;
  over(): void;
};

/** Logs a problem once, and again when it changes or lasts for `LOG_MS`. */
function openProblem(clock: Clock, log: Log): Problem {
  let logged: { text: string; atMono: number } | null = null;
  return {
    isOpen: () => logged !== null,
    report(kind, error) {
      const cause = error instanceof Error ? error.message : String(error);
      const text = `${kind}: ${cause}`;
      const mono = clock.monoMs();
      if (logged?.text === text && mono - logged.atMono < LOG_MS) return;
      logged = { text, atMono: mono };
      const message =
        kind === "deaf"
          ? "nothing listens; retrying each second"
          : "cannot replace the certificate; retrying each minute";
      log("error", message, { error: cause });
    },
    over() {
      if (logged !== null) log("info", "the certificate problem is over");
      logged = null;
    },
  };
}
