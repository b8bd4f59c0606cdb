/**
 * The longest texts that a route accepts, everywhere it reads one: in its path, its query, each
 * header that it looks at, and each field of its body or form. Whatever is sent, no request keeps
 * the others waiting: it costs less CPU than `/healthz` has time. Routes, fields and headers are
 * found, not listed, so a new one is sent the same.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as v from "valibot";
import { LIMIT } from "../../schema/limit.ts";
import { withCpuMs } from "../cpu-time.ts";
import { exampleOf, type Place, placesOf, put } from "./longest/schema.ts";
import { type Route, type Sent, Target } from "./longest/target.ts";
import { worstHeaders, worstRaw, worstSpelled, worstValues } from "./longest/text.ts";

const CPU_MS_MAX = 500;
/** The server reads no longer head than 16 KiB. */
const HEAD_BYTES = 14_000;
/** A form's body has less room than others. */
const FORM_BYTES = 64 * 1_024 - 1_000;
const FORM = { "Content-Type": "application/x-www-form-urlencoded" };

type Schema = v.GenericSchema;

let target: Target;
let routes: Route[];
beforeAll(async () => {
  target = await Target.open();
  routes = target.routes();
}, 60_000);
afterAll(() => target.close());

const bytesOf = (path: string): number => {
  if (path === "/v1/agent/join") return LIMIT.joinBytesMax;
  return path === "/v1/agent/report" ? LIMIT.reportBytesMax : LIMIT.requestBytesMax;
};

/** Sends each, and says which one costs too much. */
async function judge(
  what: string,
  texts: Iterable<[word: string, text: string]>,
  make: (text: string) => Sent,
): Promise<string[]> {
  for (const [word, text] of texts) {
    const cpuMs = await target.cpuMsOf(make(text));
    if (cpuMs >= CPU_MS_MAX) return [`${what}: ${word} costs ${Math.round(cpuMs)} ms`];
  }
  return [];
}

/** What the schema takes is sent; of what it refuses, only the first, for its message. */
async function judgePlace(
  { method, path: route, body: schema }: Route,
  place: Place,
  plain: Sent,
): Promise<string[]> {
  const what = `${method} ${route} ${place.path.join(".")}`;
  let refused = 0;
  const config = target.ports.reconciler.activeConfig();
  for (const [word, value] of worstValues(place, bytesOf(route), config)) {
    const body = put(place.base, place.path, value);
    const read = withCpuMs(() => v.safeParse(schema as Schema, body, { abortEarly: true }));
    const isSent = read.result.success || refused++ === 0;
    const sent = (): Sent => ({ ...plain, body: JSON.stringify(body) });
    const cpuMs = Math.max(read.cpuMs, isSent ? await target.cpuMsOf(sent()) : 0);
    if (cpuMs >= CPU_MS_MAX) return [`${what}: ${word} costs ${Math.round(cpuMs)} ms`];
  }
  return [];
}

/** A request that the route accepts, as far as this fleet has what it asks for. */
async function plainOf({ method, path, body, page }: Route): Promise<Sent> {
  // A route before may have ended the fleet's only node.
  if (target.p.w.serving().length === 0) {
    await target.close();
    target = await Target.open();
  }
  const isForm = page && method === "POST";
  return {
    method,
    path: await target.known(path),
    ...(body === null ? {} : { body: JSON.stringify(exampleOf(body)) }),
    ...(isForm ? { body: "reason=x", headers: FORM } : {}),
    ...(body === null && method !== "GET" && !isForm ? { body: "x" } : {}),
  };
}

/** Runs over every route; each finds what it is slow with. */
async function everywhere(look: (route: Route, plain: Sent) => Promise<string[]>): Promise<void> {
  const slow: string[] = [];
  for (const route of routes) slow.push(...(await look(route, await plainOf(route))));
  expect(slow).toEqual([]);
}

describe("no route keeps others waiting with the longest text", () => {
  test("in its path", async () => {
    await everywhere(async ({ method, path }, plain) => {
      const slow: string[] = [];
      for (const [name] of path.matchAll(/:\w+/g)) {
        const [before = "", after = ""] = await Promise.all(
          path.split(name).map((part) => target.known(part)),
        );
        slow.push(
          ...(await judge(`${method} ${path} ${name}`, worstSpelled(HEAD_BYTES), (text) => {
            return { ...plain, path: `${before}${text}${after}` };
          })),
        );
      }
      return slow;
    });
  }, 120_000);

  test("in its query", async () => {
    await everywhere(async ({ method, path, query }, plain) => {
      const declared = query === null ? [] : placesOf(query).map((one) => String(one.path[0]));
      const { queries } = await target.reads(plain);
      const slow: string[] = [];
      for (const name of new Set([...declared, ...queries])) {
        slow.push(
          ...(await judge(`${method} ${path}?${name}`, worstSpelled(HEAD_BYTES), (text) => {
            return { ...plain, path: `${plain.path}?${name}=${text}` };
          })),
        );
      }
      return slow;
    });
  }, 120_000);

  test("in a header", async () => {
    const done = new Set<string>();
    await everywhere(async ({ method, path }, plain) => {
      const { headers } = await target.reads(plain);
      const slow: string[] = [];
      for (const name of headers.filter((one) => !/^(?:host|content-length)$/.test(one))) {
        // What the first route looks at is mostly looked at before any route.
        if (done.has(name) && name !== "idempotency-key") continue;
        done.add(name);
        slow.push(
          ...(await judge(`${method} ${path} ${name}`, worstHeaders(HEAD_BYTES), (text) => {
            return { ...plain, headers: { ...plain.headers, [name]: text } };
          })),
        );
      }
      return slow;
    });
  }, 120_000);

  test("in a field of its body", async () => {
    await everywhere(async (route, plain) => {
      if (route.body === null) return [];
      const slow: string[] = [];
      for (const place of placesOf(route.body)) {
        slow.push(...(await judgePlace(route, place, plain)));
      }
      // Else this fleet lacks what the route asks for, and nothing was tried.
      const again = await plainOf(route);
      const { body: isRead } = await target.reads(again);
      return isRead ? slow : [...slow, `${route.method} ${route.path}: its body is not read`];
    });
  }, 120_000);

  test("in a field of a form", async () => {
    await everywhere(async ({ method, path, page }, plain) => {
      if (!page || method !== "POST") return [];
      const { text: shown } = await target.send({ method: "GET", path: plain.path });
      const names = [...shown.matchAll(/ name="([^"]+)"/g)].flatMap(([, name]) => name ?? []);
      const slow: string[] = [];
      for (const name of names) {
        slow.push(
          ...(await judge(`${method} ${path} ${name}`, worstSpelled(FORM_BYTES), (text) => {
            return { ...plain, body: `${name}=${text}` };
          })),
        );
      }
      return slow;
    });
  }, 120_000);

  test("as the whole body", async () => {
    await everywhere(async ({ method, path, body }, plain) => {
      if (body !== null || !(await target.reads(plain)).body) return [];
      return judge(`${method} ${path}`, worstRaw(bytesOf(path)), (text) => {
        return { ...plain, body: text };
      });
    });
  }, 120_000);
});
