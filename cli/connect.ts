/** Opens the client of the control plane that flags and environment name. */
import { parseServer, SERVER_DEFAULT } from "./address.ts";
import { type Client, openClient } from "./client.ts";
import { type Failure, usage } from "./failure.ts";
import { type Flags, readFlags } from "./flag.ts";
import { GLOBAL_FLAGS } from "./global-flag.ts";
import type { GoFlag, GoFlags } from "./go-flag.ts";
import { stateAddress, stateAuthority, stateGiven } from "./state-folder.ts";
import { readToken } from "./token.ts";
import { openTrust } from "./trust.ts";
import type { World } from "./world.ts";

/** `each`: the timeout is that of each request, and not of all together. */
export function connect(
  world: World,
  flags: Flags,
  timeoutMs: number,
  each: boolean,
): Client | Failure {
  const own = stateAddress(flags);
  const source = own === null ? flags.source("server") : `--state ${stateGiven(flags)}`;
  const address = parseServer(own ?? flags.text("server") ?? SERVER_DEFAULT, source);
  if (!address.ok) return address;
  const token = readToken(world, flags, address.loopback || own !== null);
  if (!token.ok) return token;
  const trust = openTrust(flags, address, stateAuthority(flags));
  if (!("tls" in trust)) return trust;
  return openClient(world, {
    address,
    token,
    trust,
    verbose: flags.on("verbose"),
    timeoutMs,
    each,
  });
}

const NAMES = new Set([
  ...["server", "token", "token-file", "state", "ca-fingerprint", "ca-file"],
  ...["client-cert-file", "client-key-file", "insecure"],
]);

/** How a command that reads its line as Go does names a control plane. */
export const CONNECT_FLAGS: readonly GoFlag[] = GLOBAL_FLAGS.filter(({ name }) =>
  NAMES.has(name),
).map(({ name, kind, value, help }) => ({
  name,
  kind: kind === "switch" ? "bool" : "string",
  ...(value === undefined ? {} : { value }),
  help,
}));

/** `flags` were read with `CONNECT_FLAGS`; `timeoutMs` is that of each request. */
export function connectGo(world: World, flags: GoFlags, timeoutMs: number): Client | Failure {
  const given = CONNECT_FLAGS.filter(({ name }) => flags.isGiven(name)).flatMap((flag) => {
    if (flag.kind === "string") return [`--${flag.name}=${flags.text(flag.name)}`];
    return flags.on(flag.name) ? [`--${flag.name}`] : [];
  });
  const read = readFlags(GLOBAL_FLAGS, given, world.env);
  return read.ok ? connect(world, read.flags, timeoutMs, true) : usage(read.message);
}
