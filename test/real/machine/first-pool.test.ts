/**
 * docs/first-real-pool.md, line by line: a stand-in of Lambda's API whose instances are throw-away
 * machines. Only the reader's values, the API's address and the port differ.
 *
 * Adapter: processes, files.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import type { CreateRequest, Fence, ListAnswer } from "../../../reconciler/core/provider.ts";
import { blocksOf } from "../../docs/block.ts";
import { LAMBDA_KEY, serveLambda } from "../../fixture/cloud/lambda-server.ts";
import { buildStale } from "../../fixture/plane/plane.ts";
import { BED_FLEET, openBed, type Bed } from "./bed.ts";
import { missesBed } from "./gate.ts";
import { freePort } from "./plane.ts";

const isMissing = await missesBed("a first real pool, on machines");
const FLEET = "navarch-fleet";

/** Sells the bed's machines to any fleet, with its public key, as an account does. */
function accountOf(bed: Bed) {
  const fleets = new Map<string, string>();
  const { provider } = bed;
  return {
    create(request: CreateRequest, fence: Fence) {
      fleets.set(request.name, request.tags[FLEET] ?? "");
      const tags = { ...request.tags, [FLEET]: BED_FLEET };
      return provider.create({ ...request, tags, sshKeys: [bed.publicKey] }, fence, null);
    },
    async list(): Promise<ListAnswer> {
      const answer = await provider.list();
      if (answer.kind !== "ok") return answer;
      const instances = answer.instances.map((one) => {
        return { ...one, tags: { ...one.tags, [FLEET]: fleets.get(one.name) ?? "" } };
      });
      return { kind: "ok", instances };
    },
    strangers: (pools: readonly string[]) => provider.strangers(pools),
    terminate: provider.terminate,
    reboot: provider.reboot,
  };
}

describe.skipIf(isMissing)("docs/first-real-pool.md", () => {
  let bed: Bed | null = null;
  const home = mkdtempSync(join(tmpdir(), "navarch-first-pool-"));
  afterEach(async () => {
    const left = await bed?.close();
    rmSync(home, { recursive: true, force: true });
    expect(left).toEqual([]);
  }, 60_000);

  test("leads from an empty account to a node and back", async () => {
    await buildStale();
    bed = await openBed();
    const standIn = serveLambda(accountOf(bed));
    standIn.stock = ["us-west-2"];
    const port = String(await freePort());
    mkdirSync(join(home, ".ssh"), { mode: 0o700 });
    const key = join(home, ".ssh", "lambda");
    copyFileSync(bed.keyPath, key);
    await bed.guard(join(home, "first-pool/state"));
    const page = readFileSync(join(ROOT, "docs/first-real-pool.md"), "utf8");
    const [configure, ...others] = blocksOf(page).filter(({ notRun }) => notRun === null);
    const here =
      `sed -i -e 's|^  lambda:$|  lambda:\\n    endpoint: ${standIn.url}|' ` +
      `-e 's|:5''0051|:${port}|' navarch.yaml\n`;
    const blocks = [configure?.text ?? "", here, ...others.map(({ text }) => text)];
    const script = blocks
      .join("echo ---\n")
      .replaceAll("/tmp/navarch", home)
      .replaceAll("50051", port);
    const shell = Bun.spawn(["bash", "-euo", "pipefail", "-c", script], {
      cwd: home,
      env: {
        PATH: [join(ROOT, "dist"), process.env["PATH"] ?? ""].join(":"),
        HOME: home,
        LAMBDA_API_KEY: LAMBDA_KEY,
        ADDRESS: bed.gateway,
        SSH_KEY: key,
      },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const end = setTimeout(() => shell.kill(), 240_000);
    const texts = [shell.stdout, shell.stderr].map((stream) => new Response(stream).text());
    const output = (await Promise.all(texts)).join("\n");
    clearTimeout(end);
    await standIn.stop();
    expect({ code: await shell.exited, output }).toMatchObject({ code: 0 });
    expect(output).toContain("Active");
    const launches = standIn.calls.filter((call) => call.endsWith("/launch"));
    expect(launches).toHaveLength(1);
    expect(await bed.machines()).toEqual([]);
  }, 300_000);
});
