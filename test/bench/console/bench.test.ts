/**
 * The proof `npm run once -- console-streams` in small: that it runs against the compiled control
 * plane and that every stream has its events. Its ratios mean nothing here.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { amount } from "../../../schema/number.ts";
import { Stream } from "./stream.ts";

const Figures = v.looseObject({
  reports: amount,
  unanswered: amount,
  errors: amount,
  received: v.record(v.string(), amount),
  period: v.record(v.string(), amount),
  "page /fleet": v.looseObject({ kib: amount, firstByteP50Ms: amount }),
});

test("each stream hears of the changes while agents report", async () => {
  const folder = mkdtempSync(join(tmpdir(), "navarch-console-streams-"));
  const path = join(folder, "figures.json");
  try {
    const sizes = ["--agents", "100", "--streams", "10", "--seconds", "4", "--rounds", "1"];
    const main = join(import.meta.dir, "main.ts");
    const more = ["--every-ms", "1000", "--figures", path];
    const child = Bun.spawn([process.execPath, main, ...sizes, ...more], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const said = await new Response(child.stdout).text();
    // Ratios of seconds are no verdict; the figures follow.
    expect({ bad: (await child.exited) > 1, said }).toEqual({ bad: false, said });
    const { reports, unanswered, errors, received, period, ...pages } = v.parse(
      Figures,
      await Bun.file(path).json(),
    );
    expect({ unanswered, errors, ended: received["ended"] }).toEqual({
      unanswered: 0,
      errors: 0,
      ended: 0,
    });
    expect(reports).toBeGreaterThan(400);
    expect(received["leastEvents"]).toBeGreaterThanOrEqual(1);
    expect(received["leastBytes"]).toBeGreaterThan(500);
    expect(received["patches"]).toBeGreaterThanOrEqual(10);
    expect(period["watchedMeanMs"]).toBeWithin(50, 3_000);
    expect(pages["page /fleet"].kib).toBeWithin(20, 300);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 180_000);

test("a stream counts events that come in pieces, and refuses what is none", async () => {
  const pieces = [
    "HTTP/1.1 200 OK\r\n\r\n9\r\nid: 1\nevent: pa",
    "tch\ndata: {}\n\n",
    "event: beat\n",
  ];
  const answers = [pieces, ["HTTP/1.1 503 Service Unavailable\r\n\r\n"]];
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      async data(socket) {
        for (const piece of answers.shift() ?? []) {
          socket.write(piece);
          await Bun.sleep(20);
        }
      },
    },
  });
  const url = new URL(`http://127.0.0.1:${server.port}/live`);
  const stream = new Stream();
  await stream.open(url, "a=b");
  for (let i = 0; i < 100 && stream.count < 2; i++) await Bun.sleep(10);
  expect([...stream.events]).toEqual([
    ["patch", 1],
    ["beat", 1],
  ]);
  expect(stream.bytes).toBe(pieces.join("").length);
  await expect(new Stream().open(url, "a=b")).rejects.toThrow("503");
  stream.close();
  server.stop(true);
});
