import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { openRestCall } from "./rest-call.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-rest-"));
afterAll(() => rmSync(folder, { recursive: true }));

const clock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};
const GET = { method: "GET", path: "/x" } as const;

async function against(
  handler: (request: Request) => Response | Promise<Response>,
  more: { tokenFile?: string; timeoutMs?: number; socket?: string } = {},
) {
  const { tokenFile = null, timeoutMs = 5_000, socket } = more;
  const at = socket === undefined ? { port: 0, hostname: "127.0.0.1" } : { unix: socket };
  const server = Bun.serve({ ...at, fetch: handler });
  const address = socket === undefined ? `http://127.0.0.1:${server.port}/` : `unix:${socket}`;
  try {
    return await openRestCall({ address, tokenFile, user: "ops" }, clock, timeoutMs)(GET);
  } finally {
    await server.stop(true);
  }
}

test("S37: the token is read for each call, also as scontrol prints it", async () => {
  const tokenFile = join(folder, "token");
  writeFileSync(tokenFile, "SLURM_JWT=aaa.bbb-c_d\n");
  const shown = ({ headers }: Request) => {
    return Response.json([headers.get("x-slurm-user-name"), headers.get("x-slurm-user-token")]);
  };
  const answer = await against(shown, { tokenFile, socket: join(folder, "socket") });
  expect(answer).toEqual({ kind: "json", status: 200, value: ["ops", "aaa.bbb-c_d"] });
  writeFileSync(tokenFile, "two words");
  expect(await against(shown, { tokenFile })).toMatchObject({
    ...{ kind: "failed", isUnsent: true },
    message: `slurm.token_file ${tokenFile} holds no token`,
  });
  expect(await against(shown, { tokenFile: "/nowhere" })).toMatchObject({ isUnsent: true });
});

test("S37: a token that has expired by its own words is told beside the answer", async () => {
  const tokenFile = join(folder, "jwt");
  const jwtOf = (claims: string) => {
    writeFileSync(tokenFile, `e30.${Buffer.from(claims).toString("base64url")}.x`);
    return against(() => Response.json({}), { tokenFile });
  };
  const plain = { kind: "json", status: 200, value: {} };
  const note = `the token of ${tokenFile} expired at 2026-01-01T00:00:00.000Z`;
  expect(await jwtOf('{"exp":1767225600,"sun":"root"}')).toEqual({ ...plain, note } as never);
  for (const claims of ['{"exp":9767225600}', '{"exp":1e300}', '{"exp":"x"}', "[]", "{", "null"]) {
    expect(await jwtOf(claims)).toEqual(plain as never);
  }
});

test("S32: a server that hangs, also within its answer, is left after the time limit", async () => {
  const never = () => new Promise<Response>(() => undefined);
  const message = "slurmrestd: no answer within 0.2 s";
  const failed = { kind: "failed", message, isUnsent: false };
  expect(await against(never, { timeoutMs: 200 })).toMatchObject(failed);
  const half = () => {
    return new Response(new ReadableStream({ start: (out) => out.enqueue("{") }));
  };
  expect(await against(half, { timeoutMs: 200 })).toMatchObject(failed);
});

test("S31: text that is no JSON, a redirect, and a closed port are failures", async () => {
  expect(await against(() => new Response("Unable find requested URL.", { status: 404 }))).toEqual({
    ...{ kind: "failed", status: 404, isUnsent: false },
    message: 'slurmrestd: HTTP 404, expected JSON, found "Unable find requested URL."',
  });
  let visits = 0;
  const redirect = () => {
    visits += 1;
    return new Response("", { status: 302, headers: { location: "/y" } });
  };
  expect(await against(redirect)).toMatchObject({ kind: "failed", status: 302 });
  expect(visits).toBe(1);
  const address = "http://127.0.0.1:1";
  const closed = await openRestCall({ address, tokenFile: null, user: null }, clock, 5_000)(GET);
  expect(closed).toMatchObject({ kind: "failed", isUnsent: true });
});

test("S31: a connection that ends after the request may have carried it out", async () => {
  const listener = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: { data: (socket) => void socket.end() },
  });
  const address = `http://127.0.0.1:${listener.port}`;
  const answer = await openRestCall({ address, tokenFile: null, user: null }, clock, 5_000)(GET);
  listener.stop(true);
  expect(answer).toMatchObject({ kind: "failed", isUnsent: false });
});
