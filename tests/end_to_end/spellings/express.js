// Usage: node express.js express4|express5 PORT
const express = require(process.argv[2]);
const app = express();
app.all('/signup', (request, response) => response.send('SIGNUP ' + request.method));
app.all('/admin', (request, response) => response.send('ADMIN'));
app.get('/search', (request, response) => response.send('SEARCH ' + parseInt(request.query.page) + ' ' + Number(request.query.page)));
app.listen(+process.argv[3], '127.0.0.1');
