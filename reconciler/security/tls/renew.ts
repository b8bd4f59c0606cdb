/**
 * A listening server whose certificate changes while it runs: one of the own authority when it is
 * recreated, one that somebody brought when its files say something else. Bun 1.4.5 cannot change
 * the certificate of a server that listens (`reload` leaves `tls` out without a word), so a second
 * one takes the port over: the first stops listening and keeps the connections that it has, whose
 * certificate was checked when they began. Calls in the milliseconds in between are refused by the
 * system and come again.
 *
 * A certificate that could not be shown is refused before anything is stopped. If the second server
 * cannot listen all the same, one with the certificate of before does; if that cannot either, it is
 * tried each second until it can.
 */
import type { Clock, Log } from "../../core/clock.ts";
import { whyUnfit } from "./fit.ts";
import type { ServerTls } from "./open.ts";

/** Interval of checks of the own certificate's addresses and dates; it renews a month ahead. */
const LOOK_MS = 24 * 3_600_000;
/**
 * How often files of somebody's are read, and how soon after a failure anything is tried again.
 * Who renews with cron sees it happen; three small files a minute cost nothing.
 */
const SOON_MS = 60_000;
/** Nobody reaches this process: only the cost of a failing system call speaks against sooner. */
const DEAF_MS = 1_000;
/** A problem that stays is said this often; a line each minute would hide everything else. */
const SAY_MS = 24 * 3_600_000;

/** What of Bun's server is used. */
export type Listening = {
  readonly port: number | undefined;
  stop(closeActiveConnections?: boolean): Promise<void>;
};

export type Renewing = {
  readonly port: number;
  /** What new callers are shown, and what this process shows as of the newest look. */
  shown(): ServerTls | null;
  /** Looks now, whatever the time: true if another certificate is shown from then on. */
  look(): Promise<boolean>;
  stop(): Promise<void>;
};

export type RenewingFrom = {
  /** `port` is 0 the first time, if any may be bound. Throws if it cannot. */
  listen(tls: ServerTls | null, port: number): Listening;
  /** What should be shown by now. */
  open(): Promise<ServerTls | null>;
  tls: ServerTls | null;
  port: number;
  clock: Clock;
  log: Log;
};

/** Throws if the port cannot be bound; nothing that comes later does. */
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
        log("info", "listening again, with the certificate of before");
        return false;
      }
      const next = await from.open();
      if (stopped || next === null) return false;
      const unfit = whyUnfit(next);
      if (unfit !== null) throw new Error(unfit);
      const changed = socket.show(next);
      if (changed) log("info", "another certificate is shown");
      problem.over();
      return changed;
    } catch (error) {
      problem.say(socket.isDeaf() ? "deaf" : "old", error);
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
  /** With what was shown last, if nothing listens; true if that was so. Throws if it cannot. */
  listenAgain(): boolean;
  /** True if callers see a difference. If it cannot, what is shown stays, and it throws. */
  show(next: ServerTls): boolean;
  stop(): Promise<void>;
};

/** One port, and whoever listens there at the moment. */
function openSocket({ listen, ...from }: RenewingFrom): Socket {
  let { tls } = from;
  let server: Listening | null = listen(tls, from.port);
  const port = server.port ?? 0;
  /** They have connections still. */
  const retired = new Set<Listening>();
  const retire = (old: Listening): void => {
    retired.add(old);
    const forget = (): void => void retired.delete(old);
    // It resolves when its last connection has ended, which is nobody's business here.
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

/** For who calls: what this process shows elsewhere is recreated each time. */
function isSameFor(one: ServerTls, other: ServerTls): boolean {
  return one.cert === other.cert && one.key === other.key && one.clientCa === other.clientCa;
}

type Problem = {
  isOpen(): boolean;
  say(kind: "deaf" | "old", error: unknown): void;
  over(): void;
};

/** Said once, and again when it is another one or has stayed for long. */
function openProblem(clock: Clock, log: Log): Problem {
  let said: { text: string; atMono: number } | null = null;
  return {
    isOpen: () => said !== null,
    say(kind, error) {
      const cause = error instanceof Error ? error.message : String(error);
      const text = `${kind}: ${cause}`;
      const mono = clock.monoMs();
      if (said?.text === text && mono - said.atMono < SAY_MS) return;
      said = { text, atMono: mono };
      const message =
        kind === "deaf"
          ? "nothing listens, and it is tried each second"
          : "the certificate stays as it is, and another is tried each minute";
      log("error", message, { error: cause });
    },
    over() {
      if (said !== null) log("info", "the certificate is in order again");
      said = null;
    },
  };
}
