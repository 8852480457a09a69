// A clip is sent once, by itself; what comes back is a token by which the page asks about it. The preview never leaves the browser.
const at = (name) => element.querySelector("#az-" + name);
const LONGEST = 30; // seconds of a recording
const WINDOW = 4; // seconds of a live window
let token = "", recorder = null, shown = "", busy = false, endLive = null;

const tell = (text) => { at("state").textContent = text; };
const letGo = () => { if (token) navigator.sendBeacon("/let-go", token); token = ""; };
addEventListener("pagehide", letGo);

function show(blob) {
  if (shown) URL.revokeObjectURL(shown);
  shown = blob && !blob.type.startsWith("image/") ? URL.createObjectURL(blob) : "";
  at("seen").hidden = !shown;
  at("seen").srcObject = null;
  at("seen").controls = true;
  at("seen").muted = false;
  if (shown) at("seen").src = shown; else at("seen").removeAttribute("src");
}

function send(name, fields, live = 0) {
  const form = new FormData(), request = new XMLHttpRequest(), bar = at("bar");
  for (const [key, value] of Object.entries(fields)) value instanceof Blob ? form.append(key, value, name) : form.append(key, value);
  letGo();
  busy = true;
  bar.hidden = false;
  bar.value = 0;
  tell("sending " + name);
  request.upload.onprogress = (event) => { if (event.lengthComputable) bar.value = event.loaded / event.total; };
  request.upload.onload = () => { bar.removeAttribute("value"); tell("reading " + name); };
  request.onerror = () => { busy = false; bar.hidden = true; tell("the server does not answer"); };
  request.onload = () => {
    busy = false;
    bar.hidden = true;
    let said = {error: "the server failed (" + request.status + ")"};
    try { said = JSON.parse(request.responseText); } catch { /* as said */ }
    token = said.token || "";
    tell(said.error || said.name + (said.seconds ? ", " + said.seconds.toFixed(1) + " s" : ""));
    trigger("clip", {token: token, problem: said.error || "", live: live});
  };
  request.open("POST", "/clips");
  request.send(form);
}

function give(blob, name) { at("example").value = ""; show(blob); send(name, {file: blob}); }

async function open(wanted) {
  try { return await navigator.mediaDevices.getUserMedia(wanted); }
  catch (error) { tell("the browser gives no camera or microphone: " + (error.message || error.name || error)); return null; }
}

function mirror(stream) {
  const seen = at("seen");
  seen.hidden = false;
  seen.controls = false;
  seen.muted = true;
  seen.srcObject = stream;
  seen.play();
}

async function record(button, wanted) {
  if (recorder) { recorder.stop(); return; }
  const stream = await open(wanted), parts = [], label = button.textContent;
  if (!stream) return;
  recorder = new MediaRecorder(stream);
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => {
    stream.getTracks().forEach((track) => track.stop());
    const blob = new Blob(parts, {type: recorder.mimeType});
    recorder = null;
    button.textContent = label;
    give(blob, wanted.video ? "recording.webm" : "recording.weba");
  };
  recorder.start();
  button.textContent = "Stop";
  if (wanted.video) mirror(stream);
  tell("recording, " + LONGEST + " s at most");
  const mine = recorder;
  setTimeout(() => { if (recorder === mine) mine.stop(); }, LONGEST * 1000);
}

function windowOf(stream) {
  return new Promise((done) => {
    const parts = [], one = new MediaRecorder(stream);
    one.ondataavailable = (event) => parts.push(event.data);
    one.onstop = () => done(new Blob(parts, {type: one.mimeType}));
    one.start();
    setTimeout(() => { if (one.state !== "inactive") one.stop(); }, WINDOW * 1000);
  });
}

async function live(button) {
  if (endLive) { endLive(); return; }
  const stream = await open({video: {width: 640}, audio: true}), label = button.textContent, began = performance.now();
  if (!stream) return;
  let going = true;
  endLive = () => { going = false; };
  button.textContent = "End live";
  mirror(stream);
  while (going) { // a window that is ready while the last one is still read is left out
    const blob = await windowOf(stream);
    if (going && !busy) send("live.webm", {file: blob}, (performance.now() - began) / 1000);
  }
  stream.getTracks().forEach((track) => track.stop());
  at("seen").hidden = true;
  at("seen").srcObject = null;
  button.textContent = label;
  endLive = null;
}

at("live").addEventListener("click", (event) => live(event.target));
at("seen").addEventListener("error", () => { at("seen").hidden = true; }); // what this browser cannot play
at("file").addEventListener("change", (event) => { const file = event.target.files[0]; if (file) give(file, file.name); });
element.addEventListener("dragover", (event) => event.preventDefault());
element.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer.files[0];
  if (file) give(file, file.name);
});
at("camera").addEventListener("click", (event) => record(event.target, {video: {width: 640}, audio: true}));
at("voice").addEventListener("click", (event) => record(event.target, {audio: true}));
fetch("/examples").then((answer) => answer.json()).then((names) => names.forEach((name) => at("example").add(new Option(name, name))));
at("example").addEventListener("change", (event) => { if (event.target.value) { show(null); send(event.target.value, {example: event.target.value}); } });
