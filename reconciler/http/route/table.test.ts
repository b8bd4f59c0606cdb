import { expect, test } from "bun:test";
import { isPage, type Route, sectionOf, V1_ALIAS } from "./route.ts";
import { findRoute, PAGES, partsOf, ROUTES, withPages } from "./table.ts";

const ALL = withPages(PAGES);

test("findRoute() finds each route by its path, and none by another method or a longer path", () => {
  for (const route of ALL) {
    const { method, path } = partsOf(route);
    const asked = path.replaceAll(/:\w+/g, "some%2Fname");
    expect(findRoute(method, asked)?.at).toBe(route.at);
    if (method === "GET") expect(findRoute("HEAD", asked)?.at).toBe(route.at);
    if (path.startsWith("/v1/")) {
      expect(findRoute(method, asked.replace("/v1", V1_ALIAS))?.at).toBe(route.at);
    }
    expect(findRoute("PATCH", asked)).toBeNull();
    expect(findRoute(method, `${asked}/one/two/three`)).toBeNull();
  }
  expect(new Set(ALL.map(({ at }) => at)).size).toBe(ALL.length);
});

test("sectionOf() knows every route that asks for a token or a session", () => {
  for (const { at, access } of ROUTES) {
    const { path } = partsOf({ at });
    const isOpen = access === "public" || access === "metrics";
    expect([at, sectionOf(path) !== null]).toEqual([at, !isOpen]);
    expect([at, isPage(path)]).toEqual([at, false]);
  }
  for (const { path } of PAGES) expect([path, isPage(path)]).toEqual([path, true]);
  for (const path of ["/v1x", "/fleetx", "/live/x", "/api", "/healthz"]) {
    expect([path, sectionOf(path)]).toEqual([path, null]);
  }
  for (const path of ["/v1", "/v1/none", "/api/queue/none", "/fleet/none", "/"]) {
    expect([path, sectionOf(path)?.kind ?? null]).not.toEqual([path, null]);
  }
});

test("no row is without its access, and no change without its act", () => {
  const run = () => new Response();
  // @ts-expect-error: a route says who may call it
  const open: Route = { at: "GET /v1/none", says: "", run };
  // @ts-expect-error: a change says what the audit writes
  const silent: Route = { at: "POST /v1/none", access: "admin", says: "", run };
  // @ts-expect-error: a token of a node opens no route by its role
  const narrow: Route = { at: "GET /v1/none", access: "node", says: "", run };
  expect([open.at, silent.at, narrow.at]).toHaveLength(3);
});
