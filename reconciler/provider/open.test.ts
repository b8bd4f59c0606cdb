/** What the composition hands on of a provider: everything that it can do. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configOf } from "../../test/world/setting.ts";
import type { InstanceId } from "../../schema/id.ts";
import { openProviders } from "./open.ts";

test("openProviders() keeps what an adapter can do, and counts each answered call", async () => {
  const folder = mkdtempSync(join(tmpdir(), "navarch-open-"));
  const counts: string[] = [];
  try {
    const { providers, unavailable } = await openProviders(
      configOf("providers: { fake: { price_per_hour: 31 }, lambda: {} }\npools: []\n").providers,
      {
        folder: () => folder,
        fleetId: "f",
        clock: { wallMs: () => 1, monoMs: () => 1, after: () => () => undefined },
        random: () => 0.5,
        serverUrl: () => "",
        agentTls: () => null,
        agentKey: null,
        agentCommand: null,
        env: {},
        problem: () => undefined,
        claims: null,
        inventory: async () => ({ ok: true, hosts: [] }),
        simulation: null,
        scripts: null,
        count: (provider, op, outcome) => void counts.push(`${provider} ${op} ${outcome}`),
      },
    );
    const fake = providers.get("fake");
    expect(await fake?.offers([])).toEqual({ kind: "ok", offers: [] });
    const fence = { nodeId: "n", fence: 1, sessionId: null };
    expect(await fake?.reboot("none" as InstanceId, fence)).toEqual({ kind: "not_found" });
    expect(counts).toEqual(["fake offers ok", "fake reboot not_found"]);
    expect([...unavailable.keys()]).toEqual(["lambda"]);
    await fake?.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
