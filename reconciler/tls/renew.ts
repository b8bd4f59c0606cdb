/**
 * A listening server whose certificate is made anew while it runs. Bun cannot change the
 * certificate of a server that listens, so a second one takes the port over: the first stops
 * listening and keeps the connections that it has, whose certificate was checked when they began.
 * Calls in the milliseconds in between are refused by the system and come again.
 */
import type { Clock, Log } from "../clock.ts";
import type { ServerTls } from "./open.ts";

/** How often addresses and dates are looked at. */
const LOOK_MS = 24 * 3_600_000;

/** What of Bun's server is used. */
export type Listening = {
  readonly port: number | undefined;
  stop(closeActiveConnections?: boolean): Promise<void>;
};

export type Renewing = {
  readonly port: number;
  /** Looks now, whatever the time: true if another certificate is shown from then on. */
  look(): Promise<boolean>;
  stop(): Promise<void>;
};

export function openRenewing(from: {
  /** `port` is 0 the first time, if any may be bound. */
  listen(tls: ServerTls | null, port: number): Listening;
  /** What should be shown by now. */
  open(): Promise<ServerTls | null>;
  tls: ServerTls | null;
  port: number;
  clock: Clock;
  log: Log;
}): Renewing {
  const { clock, log, listen } = from;
  let tls = from.tls;
  let server = listen(tls, from.port);
  const port = server.port ?? 0;
  const retired: Listening[] = [];
  let stopped = false;
  let cancel = (): void => undefined;
  const look = async (): Promise<boolean> => {
    const next = await from.open();
    if (stopped || next === null || next.cert === tls?.cert) return false;
    // It resolves when its last connection has ended, which is nobody's business here.
    void server.stop(false);
    retired.push(server);
    server = listen(next, port);
    tls = next;
    return true;
  };
  const arm = (): void => {
    cancel = clock.after(LOOK_MS, () => {
      look()
        .catch((error: unknown) => {
          log("error", "the certificate could not be made anew", { error: String(error) });
        })
        .finally(() => {
          if (!stopped) arm();
        });
    });
  };
  if (tls?.renewAtMs !== null && tls !== null) arm();
  return {
    port,
    look,
    async stop() {
      stopped = true;
      cancel();
      await Promise.all([server, ...retired].map((one) => one.stop(true)));
    },
  };
}
