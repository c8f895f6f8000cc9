// SPDX-License-Identifier: MIT
// A Web of Things client that knows nothing of Heliograph: node-wot, a Thing Description and a token.
// Usage: client.mjs URL-OF-THING TOKEN. Prints one JSON object per step.
import core from "@node-wot/core";
import http from "@node-wot/binding-http";

const [url, token] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const say = (step, value) => console.log(JSON.stringify({ step, value }));

const servient = new core.Servient();
servient.addClientFactory(new http.HttpsClientFactory());
const td = await (await fetch(url, { headers })).json();
servient.addCredentials({ [td.id]: { token } });
const WoT = await servient.start();
const thing = await WoT.consume(td);

await thing.writeProperty("setpoint", 24.5);
say("read", await (await thing.readProperty("setpoint")).value());
say("several", Object.fromEntries(await Promise.all(
	[...(await thing.readMultipleProperties(["setpoint", "temperature"]))].map(async ([k, v]) => [k, await v.value()]))));
try {
	await thing.writeProperty("setpoint", 99);
	say("refused", "no");
} catch (e) {
	say("refused", String(e));
}
const output = await thing.invokeAction("blink", { times: 4 });
const status = JSON.parse(new TextDecoder().decode(await output.arrayBuffer()));
say("invoked", status);
for (;;) {
	const now = await (await fetch(status.href, { headers })).json();
	if (now.status !== "pending" && now.status !== "running") {
		say("ended", now);
		break;
	}
	await new Promise((resolve) => setTimeout(resolve, 50));
}
await servient.shutdown();
