/** Commands and a slurmrestd that answer garbage: each is dark with its reason, never empty. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLOCK } from "../../test/real/slurm/sink-bed.ts";
import { until } from "../../test/fixture/plane/plane.ts";
import type { SlurmSink } from "../core/slurm/sink.ts";
import { openSlurm, type SlurmPlace } from "./open.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-garbage-"));
afterAll(() => rmSync(folder, { recursive: true }));
const closes: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0)) await close();
});

function open(place: Partial<SlurmPlace>): SlurmSink {
  const sink = openSlurm(
    {
      ...{ transport: "auto", rest: null, tokenFile: null, user: null, conf: null },
      ...{ commandDir: folder, timeoutMs: 1_000, pollIntervalMs: 1_000, ...place },
    },
    {
      ...{ clock: CLOCK, log: () => undefined, count: () => undefined },
      env: { PATH: process.env["PATH"] ?? "" },
    },
  );
  sink.start(() => undefined);
  closes.push(() => sink.stop());
  return sink;
}

async function darkness(sink: SlurmSink): Promise<string> {
  const dark = await until("dark", 4_000, () => {
    const why = sink.dark();
    return why === "Slurm has not been listed yet" ? null : (why ?? "fresh");
  });
  expect(sink.left("n0")).toEqual({ kind: "dark", message: dark });
  expect(sink.queue()).toBeNull();
  return dark;
}

/** Fakes in place of the commands; each prints its version when asked for it. */
function fakeCommands(script: string): void {
  for (const name of ["scontrol", "sinfo", "squeue"]) {
    const version = '[ "$1" = --version ] && { echo slurm-wlm 22.05.8; exit; }';
    writeFileSync(join(folder, name), `#!/bin/sh\n${version}\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
}

/** As 22.05.8 does without its controller. */
const VAGUE = `case $0 in
  *sinfo) echo '{"errors": [{"error": "Unspecified error", "errno": -1}], "nodes": []}' ;;
  *) echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1 ;;
esac`;

const GARBAGE: readonly (readonly [string, string, RegExp])[] = [
  ["nothing", "true", /cannot be read|no object/],
  ["an error", "echo 'slurm_load_node: nonsense' >&2; exit 1", /(scontrol|sinfo|squeue): nonsense/],
  ["half a document", `echo '{"nodes": [{"name": "n0", "state": "id'`, /cannot be read|no object/],
  ["another document", `echo '{"partitions": []}'`, /cannot be read/],
  ["a row without a state", `echo '{"nodes": [{"name": "n0"}]}'`, /cannot be read/],
  ["errors with status 0", `echo '{"errors": [{"error": "no", "errno": 1}]}'`, /no/],
  ["a cause in one of two errors", VAGUE, /squeue: .*Unable to contact slurm controller/],
  ["bytes", "head -c 100000 /dev/urandom", /cannot be read|no object/],
  ["an error text with status 0", "echo 'error: No controller'", /cannot be read|no object/],
  ["without an end", "exec yes '{}'", /more than 64 MiB|no answer within 1 s/],
  ["silence", "exec sleep 60", /no answer within 1 s/],
  ["a signal", "kill -9 $$", /killed/],
];

test.each(GARBAGE)("S31: commands that answer %s are dark", async (_, script, why) => {
  fakeCommands(script);
  expect(await darkness(open({}))).toMatch(why);
});

test("S31: commands that are absent are dark, and found when they come", async () => {
  const sink = open({ commandDir: join(folder, "absent") });
  expect(await darkness(sink)).toContain("could not be started");
});

test("S31: a transport without an address is dark with the key to set", async () => {
  expect(await darkness(open({ transport: "rest" }))).toContain("slurm.rest");
});

function endless(): ReadableStream {
  const chunk = new Uint8Array(65_536).fill(32);
  return new ReadableStream({ pull: (out) => out.enqueue(chunk) });
}

const ANSWERS: readonly (readonly [string, () => Response, RegExp])[] = [
  ["a page", () => new Response("<html>nginx</html>"), /expected JSON/],
  ["nothing", () => new Response(""), /expected JSON/],
  ["a list", () => Response.json([]), /no object/],
  ["no paths", () => Response.json({ paths: 7 }), /names no paths/],
  ["another API", () => Response.json({ paths: { "/api/v1/nodes": {} } }), /offers no version/],
  ["a redirect", () => Response.redirect("http://127.0.0.1:1/", 302), /HTTP 302/],
  ["without an end", () => new Response(endless()), /no answer within 1 s|more than 256 MiB/],
  ["an overload", () => Response.json({}, { status: 503 }), /503/],
];

test.each(ANSWERS)("S31: a slurmrestd that answers %s is dark", async (_, answer, why) => {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
  closes.push(() => server.stop(true));
  expect(await darkness(open({ rest: `http://127.0.0.1:${server.port}` }))).toMatch(why);
});
