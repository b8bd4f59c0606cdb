/** A reader of the console without a browser: keeps cookies, posts forms, follows nothing. */
import type { App } from "../../reconciler/http/route/route.ts";
import type { World } from "./world.ts";

export type Answer = { status: number; text: string; headers: Headers; to: string | null };

export type Browser = {
  get(path: string, remote?: string): Promise<Answer>;
  post(path: string, form: Record<string, string>, remote?: string): Promise<Answer>;
  /** Opens the page of an action, and posts its form with these fields. */
  act(path: string, fields: Record<string, string>): Promise<Answer>;
  cookies: Map<string, string>;
};

export const csrfOf = (text: string): string =>
  /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? "no token";

export function openBrowser(app: App, world: World): Browser {
  const cookies = new Map<string, string>();
  const ask = async (path: string, init: RequestInit, remote: string): Promise<Answer> => {
    const headers = new Headers(init.headers);
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    if (cookie !== "") headers.set("Cookie", cookie);
    const pending = Promise.resolve(app.request(path, { ...init, headers }, { remote }));
    // An order waits for the loop, so the loop has to run while it waits.
    let done = false;
    void pending.then(() => (done = true));
    for (let i = 0; i < 10 && !done; i++) await world.turn();
    for (let i = 0; i < 5 && !done; i++) await world.clock.pass(1_000);
    const answer = await pending;
    for (const line of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "") cookies.delete(name);
      else cookies.set(name, value);
    }
    const { status, headers: given } = answer;
    return { status, text: await answer.text(), headers: given, to: given.get("Location") };
  };
  const get: Browser["get"] = (path, remote = "10.0.0.1") => ask(path, {}, remote);
  const post: Browser["post"] = (path, form, remote = "10.0.0.1") => {
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    return ask(path, { method: "POST", headers, body: `${new URLSearchParams(form)}` }, remote);
  };
  const act: Browser["act"] = async (path, fields) =>
    post(path, { ...fields, csrf: csrfOf((await get(path)).text) });
  return { cookies, get, post, act };
}

/** Logs in with a token. */
export async function logIn(app: App, world: World, token = "root"): Promise<Browser> {
  const browser = openBrowser(app, world);
  const { status } = await browser.post("/login", { token });
  if (status !== 303) throw new Error(`log-in answered ${status}`);
  return browser;
}
