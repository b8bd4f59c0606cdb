import { afterEach, expect, test } from "bun:test";
import { Plane } from "../identity/plane.ts";
import { type LinkedPlane, openConsoleLink } from "./console-link.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function openDemo() {
  const plane = await Plane.open(1);
  const headers = { Authorization: "Bearer root" };
  const linked: LinkedPlane = {
    url: plane.base,
    fetch: (path, init) => plane.during(fetch(`${plane.base}${path}`, { ...init, headers })),
  };
  const link = openConsoleLink(linked);
  open.push(link, plane);
  return { plane, link };
}

/** What a browser does: follows the link to the form, and sends that. */
async function logIn(plane: Plane, url: string): Promise<string | null> {
  const sent = await fetch(url, { redirect: "manual" });
  expect(sent.status).toBe(303);
  const to = new URL(sent.headers.get("Location") ?? "");
  expect(to.origin).toBe(plane.base);
  const body = new URLSearchParams({ code: to.searchParams.get("code") ?? "" });
  const used = await plane.during(
    fetch(`${plane.base}/login/once`, {
      method: "POST",
      body,
      headers: { Origin: plane.base },
      redirect: "manual",
    }),
  );
  return used.headers.get("Set-Cookie");
}

test("the demonstration's link opens the console again and again, also after ten minutes", async () => {
  const { plane, link } = await openDemo();
  expect(await logIn(plane, link.url)).toStartWith("navarch_session=");
  await plane.w.clock.pass(11 * 60_000);
  expect(await logIn(plane, link.url)).toStartWith("navarch_session=");
});

test("the link is no way in without its secret, and ends with what opened it", async () => {
  const { link } = await openDemo();
  const { origin } = new URL(link.url);
  for (const url of [origin, `${origin}/guess`, `${link.url}/x`]) {
    expect((await fetch(url)).status).toBe(404);
  }
  expect((await fetch(link.url, { method: "POST" })).status).toBe(404);
  await link.close();
  expect(await fetch(link.url).catch(() => "refused")).toBe("refused");
});

test("the link says that the control plane is not there", async () => {
  const link = openConsoleLink({ url: "http://127.0.0.1:9", fetch: () => Promise.reject("no") });
  open.push(link);
  expect((await fetch(link.url)).status).toBe(503);
});
