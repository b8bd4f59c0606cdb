/**
 * The port and its certificates. These are opened before anything is composed, because routes serve
 * the authority; the server that shows them outlives the roles of this process.
 *
 * Adapter: network, files.
 */
import { hostname, networkInterfaces } from "node:os";
import type { Config } from "../../schema/config.ts";
import type { Clock, Log } from "../core/clock.ts";
import { type Front, listen } from "./route/listen.ts";
import type { KeyPair } from "../security/tls/certificate.ts";
import { openTls, type PeerTls, peerOf, type ServerTls } from "../security/tls/open.ts";
import { openRenewing, type Renewing } from "../security/tls/renew.ts";

export type Port = {
  /** The fleet's own authority, PEM; `null` = none. */
  caPem: string | null;
  /** Its fingerprint, `sha256:<hex>`: what agents pin. */
  fingerprint: string | null;
  /** For replicas and simulated machines, at this moment; `null` = the system's defaults. */
  peer(): PeerTls | null;
  /** The certificate of a node's agent; `null` = none is required, or none can be issued here. */
  clientFor(name: string): KeyPair | null;
  /** Binds `host:port`; an empty host is every interface. Throws if it cannot. */
  listen(current: () => Front, address: { host: string; port: number }): Renewing;
};

export type PortFrom = {
  config: Config;
  state: string;
  identity: { fleetId: string };
  /** See `OpenTlsFrom`. */
  first: ((key: string, value: string) => Promise<string>) | null;
  /** Hosts or URLs by which others reach this server, besides those of the configuration. */
  dialled: readonly (string | undefined)[];
  clock: Clock;
  log: Log;
};

export async function openPort(from: PortFrom): Promise<Port> {
  const { config, state, first, clock, log } = from;
  const { fleetId } = from.identity;
  const { tls: desired, externalAddress, host } = config.server;
  const given = [externalAddress, ...from.dialled].map((one) => hostOf(one ?? ""));
  const open = async (): Promise<ServerTls | null> =>
    openTls(desired, {
      state,
      fleetId,
      first,
      log,
      nowMs: clock.wallMs(),
      hosts: { given: [...given, host], hostname: hostname(), addresses: ownAddresses() },
    });
  const tls = await open();
  let serving: Renewing | null = null;
  return {
    caPem: tls?.ca ?? null,
    fingerprint: tls?.fingerprint ?? null,
    // What new callers are shown; a certificate that was refused for them is not used here either.
    peer: () => peerOf(serving === null ? tls : serving.shown()),
    clientFor: (name) => (serving === null ? tls : serving.shown())?.clientFor?.(name) ?? null,
    listen(current, address) {
      serving = openRenewing({
        listen: (made, port) => listen(current, config, { ...address, port }, made),
        open,
        tls,
        port: address.port,
        clock,
        log,
      });
      return serving;
    },
  };
}

/** The host of `host`, `host:port`, `[v6]:port` or a URL; empty if there is none. */
export function hostOf(text: string): string {
  if (text === "") return "";
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  return URL.parse(withScheme)?.hostname ?? "";
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flat()
    .map((one) => one?.address ?? "");
}
