/**
 * The proof `npm run once -- attacks` in small: that it runs against the compiled control plane,
 * finds every honest report answered, and says what it measured. Its ratio means nothing here.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { amount } from "../../schema/number.ts";
import { ATTACKS } from "./order.ts";
import { memoryMax } from "./world.ts";

const Figures = v.looseObject({
  "leader sockets": v.looseObject({
    reports: amount,
    unanswered: amount,
    findings: amount,
    unacknowledged: amount,
    errors: amount,
    rssMaxMiB: amount,
    attackConnects: amount,
  }),
});

test("one node on hundreds of sockets costs no honest agent an answer", async () => {
  const folder = mkdtempSync(join(tmpdir(), "navarch-attacks-"));
  const path = join(folder, "figures.json");
  try {
    const sizes = ["--agents", "20", "--seconds", "1", "--rounds", "1", "--every-ms", "200"];
    const which = ["--role", "leader", "--attack", "sockets", "--figures", path];
    const main = join(import.meta.dir, "main.ts");
    const child = Bun.spawn([process.execPath, main, ...sizes, ...which], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const said = await new Response(child.stdout).text();
    // A ratio of one second is no verdict, and 1 says no more than that; the figures follow.
    expect({ bad: (await child.exited) > 1, said }).toEqual({ bad: false, said });
    const figures = v.parse(Figures, await Bun.file(path).json())["leader sockets"];
    const { unanswered, unacknowledged, errors } = figures;
    expect({ unanswered, unacknowledged, errors }).toEqual({
      unanswered: 0,
      unacknowledged: 0,
      errors: 0,
    });
    expect(figures.reports).toBeGreaterThan(20);
    expect(figures.findings).toBeGreaterThan(0);
    expect(figures.attackConnects).toBeGreaterThan(20);
    expect(figures.rssMaxMiB).toBeWithin(20, memoryMax());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 180_000);

test("an attack that is none is refused with those there are", () => {
  const main = join(import.meta.dir, "main.ts");
  const child = Bun.spawnSync([process.execPath, main, "--attack", "socket"]);
  expect(child.exitCode).not.toBe(0);
  for (const attack of ATTACKS) expect(child.stderr.toString()).toContain(attack);
});
