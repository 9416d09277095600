// A headless Chromium, driven over a pipe: open a page, run code in it, take its picture. No package is needed.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PROGRAM = process.env.SEGSHIP_CHROMIUM ?? "chromium";
const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--no-first-run",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--disable-component-update",
  "--remote-debugging-pipe",
];
// A graphics processor in software, for machines without one.
const WEBGPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
  "--use-vulkan=swiftshader",
  "--use-angle=swiftshader",
];

/** One page of a headless Chromium. Close it in the end. */
export class Page {
  #process;
  #folder;
  #session;
  #waiting = new Map();
  #count = 0;
  #rest = "";
  /** Every address that the page asked for. */
  requests = [];
  /** What the page wrote to its console, and its uncaught errors. */
  messages = [];

  /** Start Chromium and open an address; `webgpu`: with a graphics processor in software. */
  static async open(address, { webgpu = false, width = 1280, height = 800 } = {}) {
    const page = new Page();
    page.#folder = await mkdtemp(join(tmpdir(), "segship-chromium-"));
    const flags = [...FLAGS, ...(webgpu ? WEBGPU : ["--disable-gpu"]), `--user-data-dir=${page.#folder}`, "about:blank"];
    page.#process = spawn(PROGRAM, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    page.#process.on("error", (error) => page.#fail(`${PROGRAM} does not start: ${error.message}`));
    page.#process.on("exit", (code) => page.#fail(`${PROGRAM} ended with status ${code}`));
    page.#process.stdio[4].setEncoding("utf8").on("data", (text) => page.#receive(text));
    page.#process.stdio[3].on("error", () => {});
    const { targetInfos } = await page.#send("Target.getTargets");
    const { targetId } = targetInfos.find((target) => target.type === "page");
    page.#session = (await page.#send("Target.attachToTarget", { targetId, flatten: true })).sessionId;
    for (const domain of ["Page", "Runtime", "Network"]) await page.#send(`${domain}.enable`);
    await page.resize(width, height);
    const loaded = new Promise((resolve) => page.#waiting.set("Page.loadEventFired", { resolve }));
    await page.#send("Page.navigate", { url: address });
    await loaded;
    return page;
  }

  /** Run code in the page, wait for its promise, and return what JSON can hold of the result. */
  async evaluate(expression) {
    const options = { expression, awaitPromise: true, returnByValue: true, userGesture: true };
    const { result, exceptionDetails } = await this.#send("Runtime.evaluate", options);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Wait until an expression is true; `seconds` at most. */
  async until(expression, seconds = 120) {
    for (const end = Date.now() + 1000 * seconds; Date.now() < end; ) {
      if (await this.evaluate(`Boolean(${expression})`)) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`after ${seconds} s still not: ${expression}\n${this.messages.join("\n")}`);
  }

  /** Give files of this machine to an <input type=file>. */
  async choose(selector, files) {
    const { root } = await this.#send("DOM.getDocument");
    const { nodeId } = await this.#send("DOM.querySelector", { nodeId: root.nodeId, selector });
    await this.#send("DOM.setFileInputFiles", { nodeId, files });
  }

  /** Press a key, as a person does. */
  async press(key) {
    const text = key === "Enter" ? "\r" : key === " " ? " " : undefined;
    const code = { Enter: 13, Tab: 9, " ": 32 }[key];
    await this.#send("Input.dispatchKeyEvent", { type: "keyDown", key, text, windowsVirtualKeyCode: code });
    await this.#send("Input.dispatchKeyEvent", { type: "keyUp", key, windowsVirtualKeyCode: code });
  }

  /** The window's size in pixels. */
  async resize(width, height) {
    const mobile = width < 600;
    await this.#send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile });
  }

  /** A PNG of the whole page. */
  async screenshot() {
    const { data } = await this.#send("Page.captureScreenshot", { captureBeyondViewport: true });
    return Buffer.from(data, "base64");
  }

  async close() {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGKILL");
    await ended;
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #send(method, params = {}) {
    const id = ++this.#count;
    const message = { id, method, params, ...(this.#session ? { sessionId: this.#session } : {}) };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#process.stdio[3].write(`${JSON.stringify(message)}\0`);
    });
  }

  #receive(text) {
    const messages = (this.#rest + text).split("\0");
    this.#rest = messages.pop();
    for (const message of messages.map((each) => JSON.parse(each))) {
      if (message.method === "Network.requestWillBeSent") this.requests.push(message.params.request.url);
      if (message.method === "Runtime.consoleAPICalled")
        this.messages.push(message.params.args.map((each) => each.value ?? each.description).join(" "));
      if (message.method === "Runtime.exceptionThrown")
        this.messages.push(message.params.exceptionDetails.exception?.description ?? message.params.exceptionDetails.text);
      const waiting = this.#waiting.get(message.id ?? message.method);
      this.#waiting.delete(message.id ?? message.method);
      if (message.error) waiting?.reject(new Error(message.error.message));
      else waiting?.resolve(message.result);
    }
  }

  #fail(text) {
    for (const { reject } of this.#waiting.values()) reject?.(new Error(text));
    this.#waiting.clear();
  }
}
