/** The command line against a plane of a test, as a person types it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS } from "../../cli/command/catalog.ts";
import { runCommandLine } from "../../cli/run.ts";
import type { World as CliWorld } from "../../cli/world.ts";
import { fingerprintOf } from "../../reconciler/security/tls/certificate.ts";
import type { Plane } from "./plane.ts";

/** `navarch ARGS`, with the administrator's token and, where there is one, the pinned authority. */
export async function navarch(p: Plane, line: string) {
  const [out, err]: [string[], string[]] = [[], []];
  const ca = join(p.folder, "ca.pem");
  const pinned = existsSync(ca)
    ? ["--ca-fingerprint", fingerprintOf(readFileSync(ca, "utf8"))]
    : [];
  const world: CliWorld = {
    program: "navarch",
    argv: [...line.split(" "), "--server", p.base, ...pinned],
    env: { NAVARCH_AUTH_TOKEN: "root" },
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
    tty: false,
    columns: 120,
    ask: () => null,
    wallMs: () => p.w.clock.wallMs(),
    monoMs: () => performance.now(),
    sleep: async () => undefined,
    home: p.folder,
    root: false,
  };
  const code = await p.during(runCommandLine(COMMANDS, world));
  return { code, out: out.join(""), err: err.join("") };
}
