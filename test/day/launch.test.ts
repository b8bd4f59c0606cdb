/**
 * Three machines of a new pool at Lambda Cloud, at default settings: the account allows one launch
 * in twelve seconds, and no purchase waits longer for its turn.
 */
import { expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { Process } from "../../simulator/engine/process.ts";
import { MemoryDatabase } from "../../simulator/engine/sql.ts";
import { openFakeScheduler } from "../world/fake-scheduler.ts";
import { policyOnce } from "../world/setting.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { openClouds, passBy } from "./clouds.ts";

const FILE = `
providers: { lambda: { type: lambda } }
pools:
  - { name: p, provider: lambda, region: r1, instance_type: gpu_8x_h100_sxm5,
      scaling: { min_nodes: 3, max_nodes: 3 } }
`;

test("three machines at Lambda are launched within a minute of the first", async () => {
  const clock = new VirtualClock();
  const clouds = await openClouds(clock, "fleet");
  const database = MemoryDatabase.empty();
  const { config, problems } = readConfig([{ name: "navarch.yaml", text: FILE }]);
  if (config === null) throw new Error(JSON.stringify(problems));
  const failed: string[] = [];
  const process = await Process.start({
    clock,
    database: { url: "memory:", clients: { writer: database.client(), reader: database.client() } },
    log: (level, message, fields) =>
      void (level === "error" && failed.push(`${message} ${JSON.stringify(fields)}`)),
    scheduler: openFakeScheduler(),
    providers: new Map([["lambda", clouds.lambda.provider]]),
    config,
    policy: policyOnce(),
    fleetId: "fleet",
    between: {},
  });
  try {
    process.reconciler.start();
    const launches: number[] = [];
    for (let second = 0; second < 120 && launches.length < 3; second += 1) {
      await passBy(1_000, { clock, clouds, process });
      while (launches.length < clouds.lambda.live().length) launches.push(second);
    }
    expect(failed).toEqual([]);
    expect(launches).toHaveLength(3);
    expect((launches[2] ?? Infinity) - (launches[0] ?? 0)).toBeLessThan(60);
    expect(clouds.lambda.doubles()).toBe(0);
  } finally {
    await process.kill();
    await clouds.close();
    database.close();
  }
}, 60_000);
