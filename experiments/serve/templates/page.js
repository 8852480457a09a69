// A clip is sent once, by itself; what comes back is a token by which the page asks about it. The preview never leaves the browser.
const at = (name) => element.querySelector("#az-" + name);
const LONGEST = 30; // seconds of a recording
let token = "", recorder = null, shown = "";

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

function send(name, fields) {
  const form = new FormData(), request = new XMLHttpRequest(), bar = at("bar");
  for (const [key, value] of Object.entries(fields)) value instanceof Blob ? form.append(key, value, name) : form.append(key, value);
  letGo();
  bar.hidden = false;
  bar.value = 0;
  tell("sending " + name);
  request.upload.onprogress = (event) => { if (event.lengthComputable) bar.value = event.loaded / event.total; };
  request.upload.onload = () => { bar.removeAttribute("value"); tell("reading " + name); };
  request.onerror = () => { bar.hidden = true; tell("the server does not answer"); };
  request.onload = () => {
    bar.hidden = true;
    let said = {error: "the server failed (" + request.status + ")"};
    try { said = JSON.parse(request.responseText); } catch { /* as said */ }
    token = said.token || "";
    tell(said.error || said.name + (said.seconds ? ", " + said.seconds.toFixed(1) + " s" : ""));
    trigger("clip", {token: token, problem: said.error || ""});
  };
  request.open("POST", "/clips");
  request.send(form);
}

function give(blob, name) { show(blob); send(name, {file: blob}); }

async function record(button, wanted) {
  if (recorder) { recorder.stop(); return; }
  let stream;
  try { stream = await navigator.mediaDevices.getUserMedia(wanted); }
  catch (error) { tell("the browser gives no camera or microphone: " + (error.message || error.name || error)); return; }
  const parts = [], label = button.textContent, seen = at("seen");
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
  if (wanted.video) { seen.hidden = false; seen.controls = false; seen.muted = true; seen.srcObject = stream; seen.play(); }
  tell("recording, " + LONGEST + " s at most");
  const mine = recorder;
  setTimeout(() => { if (recorder === mine) mine.stop(); }, LONGEST * 1000);
}

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
