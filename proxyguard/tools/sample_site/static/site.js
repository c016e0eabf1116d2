"use strict";
document.documentElement.dataset.script = "ran";

if (document.getElementById("ticks")) {
  const ticks = document.getElementById("ticks");
  new EventSource("/events?interval=0.2").onmessage = (event) => { ticks.value = event.data; };

  const echo = document.getElementById("echo");
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.onopen = () => socket.send("hello through the firewall");
  socket.onmessage = (event) => { echo.value = event.data; };
  socket.onclose = (event) => { if (echo.value === "waiting") echo.value = `closed ${event.code}`; };
}
